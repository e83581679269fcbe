package demo

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"regexp"
	"syscall"
	"time"
)

// process is one server: "sealpost serve" on a folder and a port of its own. The demo runs
// two, and uses one as the relay and the other as the key server, so that either can die
// while the other lives.
type process struct {
	binary, dir, listen string
	log                 *os.File // standard error of all its lives

	relayURI, keysURI string // as it prints them; the same in every life
	cmd               *exec.Cmd
}

var (
	relayLine = regexp.MustCompile(`^relay\s+(sealpost://\S+)$`)
	keysLine  = regexp.MustCompile(`^key server\s+(https://\S+)$`)
)

// startWithin bounds one start of a server.
const startWithin = 30 * time.Second

func (r *run) startServers(ctx context.Context) error {
	for name, p := range map[string]**process{"relay": &r.relay, "keyserver": &r.keys} {
		listen, err := freePort()
		if err != nil {
			return err
		}
		log, err := os.OpenFile(r.path(name+".log"), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
		if err != nil {
			return err
		}
		*p = &process{binary: r.Binary, dir: r.path(name), listen: listen, log: log}
		if err := (*p).start(ctx); err != nil {
			return fmt.Errorf("starting the %s: %w", name, err)
		}
	}
	r.say("relay is process %d, key server is process %d", r.relay.cmd.Process.Pid, r.keys.cmd.Process.Pid)
	return nil
}

// freePort finds a port that a server can have again after each of its deaths.
func freePort() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	return l.Addr().String(), l.Close()
}

// start runs the server and returns when it serves.
func (p *process) start(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, startWithin)
	defer cancel()
	cmd := exec.Command(p.binary, "serve", "--data", p.dir, "--listen", p.listen)
	cmd.Stderr = p.log
	out, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	p.cmd = cmd
	ready := make(chan error, 1)
	go func() {
		lines := bufio.NewScanner(out)
		for lines.Scan() {
			fmt.Fprintln(p.log, lines.Text())
			if m := relayLine.FindStringSubmatch(lines.Text()); m != nil {
				p.relayURI = m[1]
			}
			if m := keysLine.FindStringSubmatch(lines.Text()); m != nil {
				p.keysURI = m[1]
				ready <- nil // the last that the demo needs; the rest is read for the log
				break
			}
		}
		for lines.Scan() {
			fmt.Fprintln(p.log, lines.Text())
		}
		select {
		case ready <- errors.New("the server ended before it served; its log tells why"):
		default:
		}
	}()
	select {
	case err := <-ready:
		return err
	case <-ctx.Done():
		return fmt.Errorf("the server does not serve: %w", ctx.Err())
	}
}

// kill ends the server as a power cut of the process would: SIGKILL, no word before.
func (p *process) kill() error {
	if err := p.cmd.Process.Kill(); err != nil {
		return err
	}
	_ = p.cmd.Wait() // "signal: killed" is what it is for
	return nil
}

// terminate ends the server the polite way, and waits for its drain.
func (p *process) terminate() {
	if p.cmd == nil || p.cmd.ProcessState != nil {
		return
	}
	_ = p.cmd.Process.Signal(syscall.SIGTERM)
	done := make(chan struct{})
	go func() { _ = p.cmd.Wait(); close(done) }()
	select {
	case <-done:
	case <-time.After(startWithin):
		_ = p.cmd.Process.Kill()
		<-done
	}
	_ = p.log.Close()
}

// killAndRestart kills a server when pause is over, and starts it again.
func (r *run) killAndRestart(ctx context.Context, p *process, pause time.Duration) error {
	select {
	case <-time.After(pause):
	case <-ctx.Done():
		return ctx.Err()
	}
	if err := p.kill(); err != nil {
		return fmt.Errorf("killing it: %w", err)
	}
	return p.start(ctx)
}
