package pipeline

import (
	"context"
	"fmt"
	"os"
	"os/user"
	"time"

	"pgleap/internal/journal"
	"pgleap/plan"
)

// GiveWord tells a switch that waits with --hold to begin. It takes no run lock: the process that waits has it.
func GiveWord(ctx context.Context, c Config) error {
	verb := c.Verb
	c.Verb += " --go" // no session of a walk: whoever takes the run lock lets it be
	t, err := c.OpenTarget(ctx)
	if err != nil {
		return err
	}
	defer t.Close()
	j := journal.On(t, c.Run)
	known, err := j.Load(ctx)
	if err != nil {
		return err
	}
	var hold *journal.Hold
	if known != nil {
		if hold, err = j.Held(ctx); err != nil {
			return err
		}
	}
	if hold == nil {
		return plan.Fail(plan.KindNotReady, fmt.Sprintf("begin one with pgleap %s --hold; pgleap status says how far the run is", verb), "nobody waits for the word: no pgleap %s --hold of run %s is alive", verb, c.Run)
	}
	who := fmt.Sprintf("%s, pid %d on the target, since %s", hold.By, hold.PID, hold.Since.Local().Format(time.DateTime))
	if hold.Verb != verb {
		return plan.Fail(plan.KindNotReady, fmt.Sprintf("pgleap %s --go is the word for it", hold.Verb), "what waits is a %s, not a %s: %s", hold.Verb, verb, who)
	}
	if hold.Given {
		c.emit(plan.Event{Kind: plan.EventNote, Message: "the word was given already to " + who})
		return nil
	}
	if err := journal.GiveWord(ctx, t, hold.ID, operator()); err != nil {
		return err
	}
	c.emit(plan.Event{Kind: plan.EventNote, Message: "the word is given to " + who + ": what becomes of it is told there"})
	return nil
}

// operator is who runs this process, as the journal and the report name it.
func operator() string {
	name := "somebody"
	if u, err := user.Current(); err == nil {
		name = u.Username
	}
	host, err := os.Hostname()
	if err != nil {
		host = "an unknown host"
	}
	return name + "@" + host
}
