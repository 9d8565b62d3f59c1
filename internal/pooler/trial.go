package pooler

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"pgleap/plan"
)

// trialWithin bounds how long the file holds the trial's entry.
const trialWithin = 5 * time.Second

// Try proves before anybody waits that PgBouncer will take what the file is about to say: a copy of the entry, pointed
// elsewhere, stands beside it for a moment under a name of ours, and PgBouncer must show it. That the right file is
// named, that PgBouncer may read it, and that it understands it so far is not to be found out behind the point of no
// return. Nodes that share a file are tried one after the other.
func (n *Node) Try(ctx context.Context, f *File, db string, want Values) error {
	ctx, cancel := context.WithTimeout(ctx, trialWithin)
	defer cancel()
	s, err := f.stageTrial(db, want)
	if err != nil {
		return err
	}
	if err := s.Install(); err != nil {
		return err
	}
	shown := n.showsTrial(ctx, f, want)
	undo, stop := context.WithTimeout(context.WithoutCancel(ctx), undoTimeout)
	defer stop()
	err = f.endTrial(db)
	if err == nil {
		err = n.Reload(undo)
	}
	return errors.Join(shown, err)
}

func (n *Node) showsTrial(ctx context.Context, f *File, want Values) error {
	if err := n.Reload(ctx); err != nil {
		return err
	}
	entries, err := n.Databases(ctx)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if e.Name == f.trial && e.pointsTo(want) {
			return nil
		}
	}
	return plan.Fail(plan.KindNotReady, "name the file that it reads with --pgbouncer-config (on its admin console: show config, conffile), or mend the mistake in it that PgBouncer's log tells of; or let a hook do the change: --on-reroute",
		"%s does not take what is written to %s: an entry that stood there for a moment did not show after RELOAD", n, f.path)
}

// stageTrial makes the file that has the entry twice: as it is, and pointed elsewhere under the trial's name.
func (f *File) stageTrial(name string, want Values) (*Staged, error) {
	return f.stageText(name, func(text string, value span) (string, error) {
		line, err := pointed(value.of(text), want)
		if err != nil {
			return "", f.misread(name, err)
		}
		end := value.to + leading(text[value.to:], func(c byte) bool { return c != '\n' })
		return text[:end] + "\n" + f.trial + " = " + line + text[end:], nil
	})
}

// endTrial takes the trial's entry out of the file as it is now.
func (f *File) endTrial(name string) error {
	s, err := f.stageText(name, func(text string, _ span) (string, error) { return text, nil })
	if err != nil {
		return err
	}
	return s.Install()
}

// withoutTrial is the text without the trial's entry, which one that was killed may have left.
func (f *File) withoutTrial(text string) string {
	list, err := items(text)
	if err != nil {
		return text // whoever needs to understand it says so
	}
	for _, i := range list {
		if i.name != f.trial || i.include != "" {
			continue
		}
		from := strings.LastIndexByte(text[:i.value.from], '\n') + 1
		to := i.value.to + leading(text[i.value.to:], func(c byte) bool { return c != '\n' })
		if to == len(text) { // it was put behind a line without an end
			return strings.TrimSuffix(text[:from], "\n")
		}
		return text[:from] + text[to+1:]
	}
	return text
}

// ResumeTo makes PgBouncer read its file, and lets the entry's clients go on where it points then; all in one packet: a
// client that logged in between RELOAD and RESUME would make PgBouncer start a connection to the server and cut it off,
// take the server for one that refuses, and fail whoever comes before the first connection stands. If the entry does
// not point where it should, its clients are held again, and the error says so.
func (n *Node) ResumeTo(ctx context.Context, db string, want Values) error {
	n.hurry()
	resume := "resume " + quoteName(db)
	answers, err := n.send(ctx, "reload", "show databases", hurryCommand, resume)
	if err != nil {
		return err
	}
	if err := answers[0].Err; err != nil {
		return n.named("reload", err)
	}
	e, err := n.one(answers[1].Rows, db)
	if err != nil {
		return err
	}
	if !e.pointsTo(want) {
		return errors.Join(n.elsewhere(e, want), n.Pause(ctx, db))
	}
	return n.resumed(ctx, db, answers[3].Err)
}

// elsewhere is that an entry points where it should not.
func (n *Node) elsewhere(e Entry, want Values) error {
	return fmt.Errorf("%s: after RELOAD %q still points at %s, not at %s: the reason is in PgBouncer's log, such as a mistake in its file", n, e.Name, e.Values(), want)
}
