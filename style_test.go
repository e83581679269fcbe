package sealpost_test

import (
	"bytes"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

const (
	maxFileLines     = 700 // a longer file has two subjects
	maxFunctionLines = 80  // a longer function cannot be read in one look
)

// bannedPackages say nothing about what is in them, so everything ends up there.
var bannedPackages = []string{"util", "utils", "common", "shared", "helper", "helpers", "manager", "types", "misc", "base"}

// unfinished finds words of work that was put off. They are taken apart here so that this
// file passes its own test.
var unfinished = regexp.MustCompile(`\b(TO` + `DO|FIX` + `ME|XX` + `X)\b|(?i)\bfor ` + `now\b`)

// machinePaths finds paths of the machine that somebody worked on.
var machinePaths = regexp.MustCompile(`/ro` + `ot/|/wo` + `rk/|/ho` + `me/[a-z]`)

// source is one parsed Go file of the checkout.
type source struct {
	path string // slash-separated, relative to the root
	text []byte
	fset *token.FileSet
	ast  *ast.File
}

func (s source) test() bool { return strings.HasSuffix(s.path, "_test.go") }

func (s source) line(p token.Pos) int { return s.fset.Position(p).Line }

// files returns the checkout's files that keep accepts, without hidden and data folders and
// what others wrote.
func files(t *testing.T, keep func(path string) bool) []string {
	t.Helper()
	var found []string
	err := filepath.WalkDir(".", func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && path != "." && (strings.HasPrefix(d.Name(), ".") && d.Name() != ".ci" || d.Name() == "testdata" || d.Name() == "node_modules") {
			return fs.SkipDir
		}
		if d.Type().IsRegular() && keep(path) {
			found = append(found, filepath.ToSlash(path))
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

func sources(t *testing.T) []source {
	t.Helper()
	var all []source
	for _, path := range files(t, func(p string) bool { return filepath.Ext(p) == ".go" }) {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		fset := token.NewFileSet()
		f, err := parser.ParseFile(fset, path, text, parser.ParseComments)
		if err != nil {
			t.Errorf("%s does not parse: %v", path, err)
			continue
		}
		if ast.IsGenerated(f) {
			continue // nobody reads or edits it
		}
		all = append(all, source{path: path, text: text, fset: fset, ast: f})
	}
	return all
}

func TestOnePackageDocEach(t *testing.T) {
	docs, names := map[string][]string{}, map[string]string{}
	for _, s := range sources(t) {
		if s.test() {
			continue
		}
		dir := filepath.ToSlash(filepath.Dir(s.path))
		names[dir] = s.ast.Name.Name
		if s.ast.Doc != nil {
			docs[dir] = append(docs[dir], s.path)
			want := "Package " + s.ast.Name.Name + " "
			if s.ast.Name.Name == "main" {
				want = "Command "
			}
			if text := s.ast.Doc.Text(); !strings.HasPrefix(text, want) {
				t.Errorf("%s: the package doc begins %q, not %q", s.path, strings.SplitN(text, "\n", 2)[0], want)
			}
		}
	}
	for dir, name := range names {
		if len(docs[dir]) != 1 {
			t.Errorf("package %s in %s has %d package docs, not one: %v", name, dir, len(docs[dir]), docs[dir])
		}
	}
}

func TestPackageNamesSaySomething(t *testing.T) {
	for _, s := range sources(t) {
		if name := strings.TrimSuffix(s.ast.Name.Name, "_test"); slices.Contains(bannedPackages, name) {
			t.Errorf("%s: package %s says nothing about what is in it", s.path, name)
		}
	}
}

func TestFilesAndFunctionsAreShort(t *testing.T) {
	for _, s := range sources(t) {
		if n := bytes.Count(s.text, []byte("\n")); n > maxFileLines {
			t.Errorf("%s has %d lines, over %d", s.path, n, maxFileLines)
		}
		ast.Inspect(s.ast, func(n ast.Node) bool {
			name := "a function literal"
			switch f := n.(type) {
			case *ast.FuncDecl:
				name = f.Name.Name
			case *ast.FuncLit:
			default:
				return true
			}
			if lines := s.line(n.End()) - s.line(n.Pos()) + 1; lines > maxFunctionLines {
				t.Errorf("%s:%d: %s has %d lines, over %d", s.path, s.line(n.Pos()), name, lines, maxFunctionLines)
			}
			return true
		})
	}
}

// calls tells whether n is a call of pkg.name, or of pkg.anything when name is empty.
func calls(n ast.Node, pkg, name string) bool {
	call, ok := n.(*ast.CallExpr)
	if !ok {
		return false
	}
	sel, ok := call.Fun.(*ast.SelectorExpr)
	if !ok {
		return false
	}
	x, ok := sel.X.(*ast.Ident)
	return ok && x.Name == pkg && (name == "" || sel.Sel.Name == name)
}

// A sleeping test is slow when it passes and wrong when the machine is busy. Inside a
// synctest bubble the clock is fake, and sleeping is how it is moved.
func TestTestsDoNotSleep(t *testing.T) {
	for _, s := range sources(t) {
		if !s.test() {
			continue
		}
		ast.Inspect(s.ast, func(n ast.Node) bool {
			if n != nil && calls(n, "time", "Sleep") {
				t.Errorf("%s:%d: time.Sleep outside a synctest bubble", s.path, s.line(n.Pos()))
			}
			return n == nil || !calls(n, "synctest", "Test")
		})
	}
}

// TestOnlyTestsWatch: no program can be made to stop at a crash point, for none of its code begins
// to watch.
func TestOnlyTestsWatch(t *testing.T) {
	watched := 0
	for _, s := range sources(t) {
		ast.Inspect(s.ast, func(n ast.Node) bool {
			if n != nil && calls(n, "crashpoint", "Watch") {
				if watched++; !s.test() {
					t.Errorf("%s:%d: code that is no test watches crash points", s.path, s.line(n.Pos()))
				}
			}
			return true
		})
	}
	if watched == 0 {
		t.Error("no test watches: this one shows nothing")
	}
}

// TestEveryCrashPointIsPassedAndDiedAt: each name stands for a place in the code, and for one at
// which a test kills the process.
func TestEveryCrashPointIsPassedAndDiedAt(t *testing.T) {
	var points []string
	passed, diedAt := make(map[string]bool), make(map[string]bool)
	for _, s := range sources(t) {
		ast.Inspect(s.ast, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.ValueSpec:
				if typ, ok := n.Type.(*ast.Ident); ok && s.ast.Name.Name == "crashpoint" && typ.Name == "Point" {
					points = append(points, n.Names[0].Name)
				}
			case *ast.CallExpr:
				if calls(n, "crashpoint", "At") {
					if arg, ok := n.Args[0].(*ast.SelectorExpr); ok && !s.test() {
						passed[arg.Sel.Name] = true
					}
				}
			case *ast.SelectorExpr:
				if x, ok := n.X.(*ast.Ident); ok && x.Name == "crashpoint" && filepath.Base(s.path) == "points_test.go" {
					diedAt[n.Sel.Name] = true
				}
			}
			return true
		})
	}
	for _, p := range points {
		if !passed[p] || !diedAt[p] {
			t.Errorf("crashpoint.%s: passed by code %v, died at in a points_test.go %v", p, passed[p], diedAt[p])
		}
	}
	if len(points) < 20 {
		t.Errorf("only %d points are found: this test shows little", len(points))
	}
}

func TestNothingIsPutOff(t *testing.T) {
	for _, s := range sources(t) {
		for i, line := range bytes.Split(s.text, []byte("\n")) {
			if word := unfinished.Find(line); word != nil && !bytes.Contains(line, []byte("context.TO"+"DO()")) {
				t.Errorf("%s:%d: %q puts work off: do it, or say what the program does today", s.path, i+1, word)
			}
		}
	}
}

func TestNoMachinePaths(t *testing.T) {
	exts := []string{".go", ".md", ".toml", ".txtar", ".yml", ""}
	for _, path := range files(t, func(p string) bool { return slices.Contains(exts, filepath.Ext(p)) }) {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if found := machinePaths.Find(text); found != nil {
			t.Errorf("%s names a path of one machine: %q", path, found)
		}
	}
}
