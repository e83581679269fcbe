// Command sealpost is the whole of Sealpost in one binary: the servers, a chat to try them
// with, and the checks that show what they promise. It only wires packages together.
//
//	sealpost serve          relay and key server in one process
//	sealpost chat           a conversation, one line a message
//	sealpost demo           the promises, tested on this machine with real processes
//	sealpost vectors        Sealpost's own test vectors
//	sealpost vectors DIR…   the MLS working group's
//	sealpost sim            the promises, against whatever faults a seed chooses, on made-up time
//	sealpost bench AREA     figures, each against what it stands on
//	sealpost admin …        check, backup, restore, suspend a queue; the operator's log
//
// Start with "sealpost serve": it needs no configuration and prints what to type next.
// Exit status: 0 done, 1 failed, 2 not understood.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/alecthomas/kong"

	"github.com/sealpost/sealpost/cmd/sealpost/bench"
)

// streams are what a command reads and writes; tests give their own.
type streams struct {
	in       io.Reader
	out, err io.Writer
}

// commands are the command line, one field a command.
type commands struct {
	Serve   serveCommand   `cmd:"" help:"Run relay and key server in one process."`
	Admin   adminCommand   `cmd:"" help:"Look after a server, running or not."`
	Chat    chatCommand    `cmd:"" help:"Talk to somebody, one line a message."`
	Demo    demoCommand    `cmd:"" help:"Try the promises on this machine, with real processes that are killed."`
	Vectors vectorsCommand `cmd:"" help:"Run Sealpost's own test vectors, or folders of the MLS working group's."`
	Sim     simCommand     `cmd:"" help:"Play whole systems on made-up time, each with the faults of a seed (needs Go and the checkout)."`
	Bench   benchCommand   `cmd:"" help:"Measure it against what it stands on."`

	BenchRole benchRoleCommand `cmd:"" hidden:""`
}

// errFailed ends a command that has already said what is wrong.
var errFailed = errors.New("failed")

func main() {
	// quic-go would write to standard error, past the log, that it wishes for larger socket buffers.
	_ = os.Setenv("QUIC_GO_DISABLE_RECEIVE_BUFFER_WARNING", "true")
	ctx, cancel := context.WithCancel(context.Background())
	told := make(chan os.Signal, 1)
	signal.Notify(told, os.Interrupt, syscall.SIGTERM)
	go func() {
		<-told
		signal.Stop(told) // the first signal drains; from before that on, a second one kills at once
		cancel()
	}()
	os.Exit(run(ctx, os.Args[1:], streams{os.Stdin, os.Stdout, os.Stderr}))
}

// run runs one command and returns the exit status.
func run(ctx context.Context, args []string, s streams) int {
	var cli commands
	exited, status := false, 0
	parser, err := kong.New(&cli,
		kong.Name("sealpost"),
		kong.Description("End-to-end encrypted messaging: servers that see ciphertext only."),
		kong.ConfigureHelp(kong.HelpOptions{Compact: true}),
		kong.Writers(s.out, s.err),
		kong.Exit(func(code int) { exited, status = true, code }), // after --help
		kong.BindTo(ctx, (*context.Context)(nil)),
		kong.Bind(s),
		kong.Vars{"areas": strings.Join(bench.Areas(), ",")},
	)
	if err != nil {
		panic(err) // the struct tags above are wrong: no input leads here
	}
	parsed, err := parser.Parse(longFlags(args))
	if exited {
		return status
	}
	if err != nil {
		fmt.Fprintf(s.err, "sealpost: %v (sealpost --help lists what there is)\n", err)
		return 2
	}
	switch err := parsed.Run(); {
	case err == nil:
		return 0
	case errors.Is(err, errFailed):
		return 1
	default:
		fmt.Fprintf(s.err, "sealpost: %v\n", err)
		return 1
	}
}

// longFlags lets long flags be written with one dash too, as Go's own tools write them.
func longFlags(args []string) []string {
	out := make([]string, len(args))
	for i, a := range args {
		if a == "--" {
			copy(out[i:], args[i:])
			break
		}
		if len(a) > 2 && a[0] == '-' && a[1] != '-' && !strings.ContainsAny(a[1:2], "0123456789.") {
			a = "-" + a
		}
		out[i] = a
	}
	return out
}
