package main

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

// ports returns the sockets of a process that anybody can send to, as "tcp 127.0.0.1:7443", from
// what the system says of it.
func ports(t *testing.T, pid int) (out []string) {
	t.Helper()
	own := map[string]bool{}
	links, err := filepath.Glob(fmt.Sprintf("/proc/%d/fd/*", pid))
	if err != nil || len(links) == 0 {
		t.Fatalf("no open files of process %d: %v", pid, err)
	}
	for _, link := range links {
		to, _ := os.Readlink(link)
		if inode, ok := strings.CutPrefix(to, "socket:["); ok {
			own[strings.TrimSuffix(inode, "]")] = true
		}
	}
	for _, table := range []string{"tcp", "tcp6", "udp", "udp6"} {
		b, err := os.ReadFile(fmt.Sprintf("/proc/%d/net/%s", pid, table))
		if err != nil {
			continue // a system without IPv6
		}
		for line := range strings.Lines(string(b)) {
			f := strings.Fields(line)
			listens := len(f) > 9 && (f[3] == "0A" || strings.HasPrefix(table, "udp"))
			if !listens || !own[f[9]] {
				continue
			}
			host, port, _ := strings.Cut(f[1], ":")
			raw, _ := hex.DecodeString(host)
			for i := 0; i+4 <= len(raw); i += 4 {
				slices.Reverse(raw[i : i+4])
			}
			n, _ := strconv.ParseUint(port, 16, 16)
			out = append(out, fmt.Sprintf("%s %s", table[:3], net.JoinHostPort(net.IP(raw).String(), strconv.Itoa(int(n)))))
		}
	}
	slices.Sort(out)
	return out
}

// TestR33_PortScan: a server without settings listens where it says and nowhere else; with
// [observe] on one more port, of loopback.
func TestR33_PortScan(t *testing.T) {
	p := start(t, t.TempDir(), "serve", "--listen", "127.0.0.1:0")
	g := greeted(t, p)
	want := []string{"tcp " + g.relay.Host, "udp " + g.relay.Host}
	if got := ports(t, p.cmd.Process.Pid); !slices.Equal(got, want) {
		t.Errorf("it listens on %v, want %v", got, want)
	}
	if observeLine.MatchString(g.text) {
		t.Error("it says where to look")
	}
	p, g, at := startObserved(t, "")
	want = []string{"tcp " + at, "tcp " + g.relay.Host, "udp " + g.relay.Host}
	slices.Sort(want)
	if got := ports(t, p.cmd.Process.Pid); !slices.Equal(got, want) {
		t.Errorf("with [observe] it listens on %v, want %v", got, want)
	}
}

// TestR31_NoCoreNoValues: the system writes no core file of a server, and the report of a server
// that is told to quit has no values in it.
func TestR31_NoCoreNoValues(t *testing.T) {
	p := start(t, t.TempDir(), "serve", "--listen", "127.0.0.1:0")
	g := greeted(t, p)
	dialBoth(t, g)
	limits, err := os.ReadFile(fmt.Sprintf("/proc/%d/limits", p.cmd.Process.Pid))
	if err != nil {
		t.Fatal(err)
	}
	for line := range bytes.Lines(limits) {
		if f := bytes.Fields(line); bytes.HasPrefix(line, []byte("Max core file size")) && (string(f[4]) != "0" || string(f[5]) != "0") {
			t.Errorf("%s", line)
		}
	}
	p.signal(syscall.SIGQUIT)
	if status, _ := p.wait(); status != 2 {
		t.Errorf("it ended with %d", status)
	}
	report := p.stderr.String()
	if !strings.Contains(report, "goroutine profile:") || strings.Contains(report, "(0x") || strings.Contains(report, "({") {
		t.Errorf("the report:\n%s", report)
	}
}
