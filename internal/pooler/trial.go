package pooler

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"pgleap/plan"
)

// trialWithin bounds how long the file holds the trial's entry.
const trialWithin = 5 * time.Second

// Try proves before anybody waits that PgBouncer will take what the file is about to say: a copy of the entry, pointed
// elsewhere, stands beside it for a moment under a name of ours, and PgBouncer must show it. That the right file is
// named, that PgBouncer may read it, and that it understands it is not to be found out behind the point of no return.
// Nodes that share a file are tried one after the other.
func (n *Node) Try(ctx context.Context, f *File, db string, want Values) error {
	ctx, cancel := context.WithTimeout(ctx, trialWithin)
	defer cancel()
	if err := n.agrees(ctx, f, db); err != nil {
		return err
	}
	trial := trialPrefix + f.run + "_" + strings.ToLower(rand.Text()[:6]) // never the one of a trial that was killed
	s, err := f.stageTrial(trial, db, want)
	if err != nil {
		return err
	}
	err = s.Install()
	if err == nil {
		err = n.showsTrial(ctx, f, trial, want)
	}
	undo, stop := context.WithTimeout(context.WithoutCancel(ctx), undoTimeout)
	defer stop()
	return errors.Join(err, n.endTrial(undo, f, trial, db))
}

// agrees refuses a file that says something else of the entry than PgBouncer does: a RELOAD would move clients that
// nobody holds.
func (n *Node) agrees(ctx context.Context, f *File, db string) error {
	e, err := n.Entry(ctx, db)
	if err != nil {
		return err
	}
	has, err := f.Says(db)
	if err != nil || has == e.Values() {
		return err
	}
	return plan.Fail(plan.KindNotReady, "name the file that PgBouncer reads with --pgbouncer-config, or put the entry right in it", "%s: %q points at %s, and its file says something else: %s: %s", n, db, e.Values(), f.path, has)
}

func (n *Node) showsTrial(ctx context.Context, f *File, trial string, want Values) error {
	failed := n.Reload(ctx)
	e, err := n.Entry(ctx, trial)
	if failed == nil && err == nil && e.Values() == want.Filled(trial) {
		return nil
	}
	if refused(failed) {
		err = failed
	}
	return plan.Fail(plan.KindNotReady, "name the file that it reads with --pgbouncer-config (on its admin console: show config, conffile), or mend the mistake in it that PgBouncer's log tells of; or let a hook do the change: --on-reroute",
		"%s does not take what is written to %s: an entry that stood there for a moment did not show after RELOAD: %w", n, f.path, cmp.Or(err, errors.New("it shows "+e.Values().String())))
}

// endTrial takes the trial's entry out of the file as it is now, and sees that PgBouncer forgets it: one that it goes on
// showing was read by a RELOAD that came to no end.
func (n *Node) endTrial(ctx context.Context, f *File, trial, db string) error {
	if err := f.withoutTrials(db); err != nil {
		return err
	}
	if err := n.Reload(ctx); err != nil {
		return err
	}
	if _, err := n.Entry(ctx, trial); err == nil {
		return plan.Fail(plan.KindNotReady, "mend the mistake in it that PgBouncer's log tells of, and RELOAD", "%s does not read %s to its end", n, f.path)
	}
	return nil
}

// trialPrefix begins the names of trials' entries.
const trialPrefix = "pgleap_trial_"

// stageTrial makes the file that has the entry twice: as it is, and pointed elsewhere under the trial's name.
func (f *File) stageTrial(trial, name string, want Values) (*Staged, error) {
	return f.stageText(name, func(text string, value span) (string, error) {
		line, err := pointed(value.of(text), want)
		if err != nil {
			return "", f.misread(name, err)
		}
		end := value.to + leading(text[value.to:], func(c byte) bool { return c != '\n' })
		return text[:end] + "\n" + trial + " = " + line + text[end:], nil
	})
}

// withoutTrials takes the entries of all trials out of the file.
func (f *File) withoutTrials(name string) error {
	return f.put(f.stageText(name, func(text string, _ span) (string, error) { return text, nil }))
}

// cutTrials is the text without the entries of trials, which one that was killed may have left.
func cutTrials(text string) string {
	list, err := items(text)
	if err != nil {
		return text // whoever needs to understand it says so
	}
	for _, i := range slices.Backward(list) {
		if !strings.HasPrefix(i.name, trialPrefix) {
			continue
		}
		from := strings.LastIndexByte(text[:i.value.from], '\n') + 1
		to := i.value.to + leading(text[i.value.to:], func(c byte) bool { return c != '\n' })
		if to == len(text) { // it was put behind a line without an end
			text = strings.TrimSuffix(text[:from], "\n")
			continue
		}
		text = text[:from] + text[to+1:]
	}
	return text
}

// ResumeTo makes PgBouncer read its file, and lets the entry's clients go on where it points then; all in one packet: a
// client that logged in between RELOAD and RESUME would make PgBouncer start a connection to the server and cut it off,
// take the server for one that refuses, and fail whoever comes before the first connection stands. If the entry does
// not point where it should, its clients are held again, and the error says so.
func (n *Node) ResumeTo(ctx context.Context, db string, want Values) error {
	n.set(&n.hurried, true)
	// The long answer comes last: one that does not fit the socket at once would keep PgBouncer from what follows it.
	answers, err := n.send(ctx, "reload", hurryCommand, resumeCommand(db), "show databases")
	if err != nil {
		return err
	}
	e, err := n.one(answers[3].Rows, db)
	if err == nil && e.Values() != want {
		err = n.elsewhere(e, want)
	}
	if err != nil {
		return errors.Join(err, n.named("reload", answers[0].Err), n.Hold(ctx, db))
	}
	return n.resumed(ctx, db, answers[2].Err)
}

// elsewhere is that an entry points where it should not.
func (n *Node) elsewhere(e Entry, want Values) error {
	return fmt.Errorf("%s: after RELOAD %q still points at %s, not at %s: the reason is in PgBouncer's log, such as a mistake in its file", n, e.Name, e.Values(), want)
}
