package sealpost_test

import (
	"go/ast"
	"go/format"
	"go/parser"
	"go/token"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// attributes are all that a log line may have beside its words, each with the expressions that it
// may be given, and why those tell of nobody. Whoever adds a line with another one says so here.
// Errors lose the addresses in them on the way out (cmd/sealpost newLog), and ids redact
// themselves (relay TestR31_IdsDoNotPrint).
var attributes = map[string]struct {
	values []string
	why    string
}{
	"err":          {[]string{"err"}, "what failed, of this process and its files"},
	"error":        {[]string{"err", "refusalName(err)"}, "the same; a refusal by its code alone"},
	"code":         {[]string{"uint16(code)"}, "how a session ended, in the protocol's numbers"},
	"sessions":     {[]string{"len(peers)"}, "a count"},
	"queues":       {[]string{"unreadable", "contradict", "settled"}, "counts"},
	"lines":        {[]string{"wrong"}, "a count of the operator's own log"},
	"incarnations": {[]string{"len(s.lives)"}, "a count"},
	"in_time":      {[]string{"err == nil"}, "whether all left in time"},
	"full":         {[]string{"full"}, "which side of the watermark the disk is on"},
	"for":          {[]string{"drain"}, "the operator's own setting"},
	"again_in":     {[]string{"retry"}, "our own interval"},
	"domain":       {[]string{"name"}, "the operator's own name"},
	"until":        {[]string{"cert.Leaf.NotAfter.UTC().Format(time.DateOnly)"}, "of the operator's own certificate"},
	"violation":    {[]string{"evidence.Violation"}, "a client's: which rule its relay broke"},
}

// spoken are messages that are no constant, with the reason.
var spoken = map[string]string{
	`"badger: " + line(f, a)`: "Badger's words, without its keys and values",
}

var logMethods = []string{
	"Debug", "Info", "Warn", "Error", "Log", "LogAttrs", "With", "WithGroup", "DebugContext", "InfoContext", "WarnContext", "ErrorContext",
}

// isLogger tells whether an expression is a logger by the name that all code here gives one.
func isLogger(x ast.Expr) bool {
	switch x := x.(type) {
	case *ast.Ident:
		return slices.Contains([]string{"log", "slog", "logger"}, x.Name)
	case *ast.SelectorExpr:
		return slices.Contains([]string{"log", "Log", "logger", "Logger"}, x.Sel.Name)
	}
	return false
}

// badLogLine says what is wrong with a call, if it writes to a log; ok is false if it does not.
func badLogLine(fset *token.FileSet, call *ast.CallExpr) (wrong string, ok bool) {
	sel, is := call.Fun.(*ast.SelectorExpr)
	if !is || !isLogger(sel.X) || !slices.Contains(logMethods, sel.Sel.Name) {
		return "", false
	}
	if len(call.Args) == 0 || !slices.Contains([]string{"Debug", "Info", "Warn", "Error"}, sel.Sel.Name) {
		return sel.Sel.Name + " is not looked into: use Debug, Info, Warn or Error", true
	}
	text := func(x ast.Expr) string {
		var b strings.Builder
		_ = format.Node(&b, fset, x)
		return b.String()
	}
	if lit, is := call.Args[0].(*ast.BasicLit); (!is || lit.Kind != token.STRING) && spoken[text(call.Args[0])] == "" {
		return "the message " + text(call.Args[0]) + " is no constant", true
	}
	rest := call.Args[1:]
	if len(rest)%2 != 0 || call.Ellipsis != token.NoPos {
		return "keys and values do not come in pairs", true
	}
	for i := 0; i < len(rest); i += 2 {
		key, err := strconv.Unquote(text(rest[i]))
		if err != nil || attributes[key].why == "" {
			return "nobody has said why " + text(rest[i]) + " tells of nobody", true
		}
		if !slices.Contains(attributes[key].values, text(rest[i+1])) {
			return "nobody has said why " + key + " may be " + text(rest[i+1]), true
		}
	}
	return "", true
}

// TestR31_LogLinesNameNobody: every line that any level can show is words of ours and attributes
// of the list above; and no package that runs in a server or an app writes past its log.
func TestR31_LogLinesNameNobody(t *testing.T) {
	lines := 0
	for _, s := range sources(t) {
		if s.test() {
			continue
		}
		top, _, _ := strings.Cut(s.path, "/")
		quiet := slices.Contains([]string{"relay", "keyserver", "clientlib", "mls", "internal"}, top) && !strings.HasPrefix(s.path, "internal/measure/") && !strings.HasPrefix(s.path, "internal/sim/")
		ast.Inspect(s.ast, func(n ast.Node) bool {
			if call, is := n.(*ast.CallExpr); is {
				if wrong, ok := badLogLine(s.fset, call); ok {
					lines++
					if wrong != "" {
						t.Errorf("%s:%d: %s", s.path, s.line(n.Pos()), wrong)
					}
					return true
				}
			}
			if quiet && writesOut(n) {
				t.Errorf("%s:%d: it writes past the log", s.path, s.line(n.Pos()))
			}
			return true
		})
	}
	if lines < 40 {
		t.Errorf("%d log lines were found: loggers have other names now", lines)
	}
}

// writesOut tells whether n writes to standard output or error, or to the log of the standard
// library, whoever has set where that goes.
func writesOut(n ast.Node) bool {
	if sel, ok := n.(*ast.SelectorExpr); ok {
		x, _ := sel.X.(*ast.Ident)
		return x != nil && x.Name == "os" && (sel.Sel.Name == "Stdout" || sel.Sel.Name == "Stderr")
	}
	if call, ok := n.(*ast.CallExpr); ok {
		if f, ok := call.Fun.(*ast.Ident); ok {
			return f.Name == "println" || f.Name == "print"
		}
	}
	for _, name := range []string{"Print", "Printf", "Println"} {
		if n != nil && (calls(n, "fmt", name) || calls(n, "log", name)) {
			return true
		}
	}
	return false
}

// What the test above would let through, it would not be worth running for.
func TestBadLogLinesAreFound(t *testing.T) {
	for line, bad := range map[string]bool{
		`s.log.Info("a session", "err", err)`:         false,
		`http.Error(w, id)`:                           false,
		`s.log.Info("session of " + id)`:              true,
		`s.log.Info(fmt.Sprintf("session %x", id))`:   true,
		`s.log.Debug("a session", "queue", q)`:        true,
		`log.Debug("a session", "err", r.RemoteAddr)`: true,
		`cfg.Logger.Warn("a session", q)`:             true,
		`s.log.Warn("a session", attrs...)`:           true,
		`p.srv.log.With("queue", q).Info("x")`:        true,
		`slog.Error("x", "queue", q)`:                 true,
		`s.log.LogAttrs(ctx, 1, "x", slog.Any())`:     true,
	} {
		fset := token.NewFileSet()
		f, err := parser.ParseFile(fset, "x.go", "package x\nfunc f() { "+line+" }", 0)
		if err != nil {
			t.Fatal(err)
		}
		found := false
		ast.Inspect(f, func(n ast.Node) bool {
			if call, is := n.(*ast.CallExpr); is {
				wrong, _ := badLogLine(fset, call)
				found = found || wrong != ""
			}
			return true
		})
		if found != bad {
			t.Errorf("%s: found to be wrong %v", line, found)
		}
	}
}
