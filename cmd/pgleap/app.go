package main

import (
	"fmt"
	"os"
	"regexp"
	"strings"

	"github.com/urfave/cli/v2"

	"pgleap/plan"
)

func newApp() *cli.App {
	app := &cli.App{
		Name:            "pgleap",
		Usage:           "move a live PostgreSQL database to a new major version while its users notice nothing",
		Version:         version,
		HideVersion:     true,
		HideHelpCommand: true,
		Suggest:         true,
		// Names may hold a comma within quotes: we split by ourselves.
		DisableSliceFlagSeparator: true,
		ExitErrHandler:            func(*cli.Context, error) {}, // main maps errors to exit codes
		OnUsageError:              usageError,
		CommandNotFound:           func(c *cli.Context, name string) {},
		Commands: []*cli.Command{
			checkCommand(), planCommand(), syncCommand(), statusCommand(), cutoverCommand(), rollbackCommand(), repairCommand(), finalizeCommand(), abortCommand(),
			rehearseCommand(), explainCommand(), versionCommand(), watchdogCommand(),
		},
		Flags: []cli.Flag{&cli.BoolFlag{Name: "version"}},
		Action: func(c *cli.Context) error {
			if c.NArg() > 0 {
				return unknownVerb(c)
			}
			if c.Bool("version") {
				return printVersion(c)
			}
			return cli.ShowAppHelp(c)
		},
		CustomAppHelpTemplate: appHelp,
	}
	for _, c := range app.Commands {
		c.OnUsageError = usageError
		if c.Name != "explain" { // it has no flags that a name could hide
			c.Action = refuseArguments(c.Action)
		}
		c.CustomHelpTemplate = commandHelp
		c.HideHelpCommand = true
	}
	return app
}

const appHelp = `pgleap - {{.Usage}}

USAGE:
   pgleap VERB [flags]

VERBS:{{range .VisibleCommands}}
   {{printf "%-10s" .Name}} {{.Usage}}{{end}}

A first upgrade:
   export PGLEAP_SOURCE=postgres://postgres@old:5432/shop PGLEAP_TARGET=postgres://postgres@new:5432/shop
   pgleap check      what would go wrong, with the mend
   pgleap sync       copy and follow; run it again to resume
   pgleap cutover    the only verb that stops writes
   pgleap finalize   when nobody needs the old server any more

Passwords: in the address, in PGPASSFILE (~/.pgpass) or in PGPASSWORD. pgleap VERB --help tells more.
`

const commandHelp = `pgleap {{.Name}} - {{.Usage}}

{{.Description}}

FLAGS:{{range .VisibleFlags}}
   {{.}}{{end}}
`

var (
	unknownFlag = regexp.MustCompile(`^flag provided but not defined: -(.+)$`)
	flagName    = regexp.MustCompile(`(flag|argument:|for) -(\S)`)
)

// usageError says in our words what the flag package complains of: flags have two dashes here.
func usageError(c *cli.Context, err error, _ bool) error {
	fix := "see pgleap --help"
	if c.Command != nil && c.App.Command(c.Command.Name) != nil {
		fix = "see pgleap " + c.Command.Name + " --help"
	}
	if mayHoldPassword(err.Error()) {
		return plan.Fail(plan.KindUsage, fix, "the command line cannot be read at an argument that may hold a password, and is not shown; %s", giveAddress)
	}
	if m := unknownFlag.FindStringSubmatch(err.Error()); m != nil {
		hint := ""
		if s := cli.SuggestFlag(c.Command.Flags, m[1], false); s != "" {
			hint = "; did you mean " + s + "?"
		}
		return plan.Fail(plan.KindUsage, fix, "there is no flag --%s%s", m[1], hint)
	}
	for _, f := range c.Command.Flags {
		if name := f.Names()[0]; isDuration(f) && strings.Contains(err.Error(), "flag -"+name+":") {
			fix = "give a number and its unit: --" + name + " 5s; " + fix
		}
	}
	return plan.Fail(plan.KindUsage, fix, "%s", strings.TrimSuffix(flagName.ReplaceAllString(err.Error(), "$1 --$2"), ": parse error"))
}

const giveAddress = "give the address by --source or --target"

// mayHoldPassword tells an argument that must not be repeated: logs keep what is written.
func mayHoldPassword(text string) bool {
	return strings.Contains(text, "://") || strings.ContainsAny(text, "=@")
}

func isDuration(f cli.Flag) bool {
	_, ok := f.(*cli.DurationFlag)
	return ok
}

func unknownVerb(c *cli.Context) error {
	name := c.Args().First()
	if mayHoldPassword(name) {
		return plan.Fail(plan.KindUsage, "pgleap --help lists the verbs", "what stands in place of the verb may hold a password, and is not shown; %s", giveAddress)
	}
	hint := ""
	if s := cli.SuggestCommand(c.App.Commands, name); s != "" && name != "help" {
		hint = "; " + strings.ToLower(s[:1]) + s[1:]
	}
	return plan.Fail(plan.KindUsage, "pgleap --help lists the verbs, pgleap VERB --help explains one", "there is no verb %q%s", name, hint)
}

// refuseArguments: the library drops every flag behind a positional argument without a word.
func refuseArguments(action cli.ActionFunc) cli.ActionFunc {
	return func(c *cli.Context) error {
		if mayHoldPassword(c.Args().First()) {
			return plan.Fail(plan.KindUsage, "see pgleap "+c.Command.Name+" --help", "an unexpected argument, which may hold a password and is not shown; %s", giveAddress)
		}
		if c.NArg() > 0 {
			return plan.Fail(plan.KindUsage, "every value has a flag: see pgleap "+c.Command.Name+" --help", "unexpected argument %q", c.Args().First())
		}
		return action(c)
	}
}

// describe puts a verb's help together: what it does, an example, its exit codes.
func describe(what, example string, codes ...int) string {
	lines := strings.Split(strings.TrimSpace(example), "\n")
	return strings.TrimSpace(what) + "\n\nEXAMPLE:\n   " + strings.Join(lines, "\n   ") + "\n\n" + strings.TrimRight(exitText(codes...), "\n")
}

// env treats a variable that is set but empty as unset.
func env(names ...string) string {
	for _, n := range names {
		if v := os.Getenv(n); v != "" {
			return v
		}
	}
	return ""
}

func versionCommand() *cli.Command {
	return &cli.Command{
		Name: "version", Usage: "print the version", Description: describe("Prints pgleap's version.", "pgleap version", exitOK, exitUsage),
		Action: printVersion,
	}
}

func printVersion(c *cli.Context) error {
	_, err := fmt.Fprintln(c.App.Writer, "pgleap", version)
	return err
}
