package measure

import (
	"context"
	"errors"
	"io"
	"os"
	"strings"
	"testing"
)

// asChild makes the test binary be a child.
const asChild = "SEALPOST_TEST_IS_A_CHILD"

func TestMain(m *testing.M) {
	if os.Getenv(asChild) == "" {
		os.Exit(m.Run())
	}
	desk, ctx := Stdio(context.Background())
	err := Serve(desk, func(word string) (string, error) {
		switch word {
		case "fail":
			return "", errors.New("told to fail")
		case "wait":
			<-ctx.Done() // the parent is gone
			return "", nil
		}
		return os.Args[len(os.Args)-1] + " " + word, nil
	})
	if err != nil {
		os.Exit(1)
	}
	os.Exit(0)
}

func startChild(t *testing.T, ctx context.Context) *Child {
	t.Helper()
	t.Setenv(asChild, "1")
	c, err := Program{Binary: os.Args[0], Args: []string{"-x"}}.Start(ctx, "echo")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.End() })
	return c
}

func TestAChildAnswersAndEnds(t *testing.T) {
	c := startChild(t, t.Context())
	for _, word := range []string{"one", "two"} {
		var answer string
		if err := c.Ask(word, &answer); err != nil || answer != "echo "+word {
			t.Errorf("%q was answered %q, %v", word, answer, err)
		}
	}
	if err := errors.Join(c.End(), c.End()); err != nil {
		t.Error(err)
	}
	if c.CPU() <= 0 {
		t.Error("a process that used no processor time")
	}
}

func TestAFailingChildIsAnError(t *testing.T) {
	c := startChild(t, t.Context())
	if err := c.Ask("fail", new(string)); !errors.Is(err, io.EOF) || !strings.Contains(err.Error(), "echo") {
		t.Errorf("asking it: %v", err)
	}
	if err := c.End(); err == nil {
		t.Error("its end is no error")
	}
}

func TestAChildEndsWithItsParentOrItsContext(t *testing.T) {
	c := startChild(t, t.Context())
	answered := make(chan error, 1)
	go func() { answered <- c.Ask("wait", new(string)) }()
	_ = c.in.Close() // as when this process is gone
	<-answered
	if err := c.cmd.Wait(); err != nil {
		t.Errorf("without a parent: %v", err)
	}

	ctx, cancel := context.WithCancel(t.Context())
	c = startChild(t, ctx)
	go func() { answered <- c.Ask("wait", new(string)) }()
	cancel()
	if err := <-answered; err == nil {
		t.Error("an answer of a child that was killed")
	}
	if err := c.End(); err == nil {
		t.Error("a killed child is no error")
	}
}
