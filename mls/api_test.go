package mls_test

import (
	"go/ast"
	"go/doc"
	"go/parser"
	"go/token"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// What a reader of the API has to take in. Whoever comes near a limit merges something first.
const (
	maxIdentifiers = 120 // types, functions, errors and other values, but for the registries'
	maxMethods     = 200 // with those of interfaces; what two types share counts for each
)

// registries are types whose constants are code points, or events, of the RFC and its drafts:
// nobody reads them one by one.
var registries = []string{"ComponentID", "CredentialEvent", "CredentialType", "ExtensionType", "ProposalType", "Suite"}

func parseAPI(t *testing.T) *doc.Package {
	t.Helper()
	fset := token.NewFileSet()
	var files []*ast.File
	for _, name := range must(filepath.Glob("*.go")) {
		if !strings.HasSuffix(name, "_test.go") {
			files = append(files, must(parser.ParseFile(fset, name, nil, parser.ParseComments)))
		}
	}
	return must(doc.NewFromFiles(fset, files, "github.com/sealpost/sealpost/mls"))
}

// TestAPIIsSmall counts what the package exports.
func TestAPIIsSmall(t *testing.T) {
	pkg := parseAPI(t)
	identifiers, methods := len(pkg.Funcs)+len(pkg.Types), 0
	values := slices.Concat(pkg.Consts, pkg.Vars)
	for _, typ := range pkg.Types {
		identifiers += len(typ.Funcs)
		methods += len(typ.Methods) + len(interfaceMethods(typ))
		values = append(values, typ.Vars...)
		if !slices.Contains(registries, typ.Name) {
			values = append(values, typ.Consts...)
		}
	}
	for _, v := range values {
		identifiers += len(v.Names)
	}
	t.Logf("%d identifiers, %d methods", identifiers, methods)
	if identifiers > maxIdentifiers {
		t.Errorf("%d exported identifiers, over %d", identifiers, maxIdentifiers)
	}
	if methods > maxMethods {
		t.Errorf("%d exported methods, over %d", methods, maxMethods)
	}
}

// TestAPIIsDocumented: everything exported has a comment that begins with its name, as far as
// it has one of its own.
func TestAPIIsDocumented(t *testing.T) {
	pkg := parseAPI(t)
	documented := func(name, text string) {
		bare := name[strings.LastIndex(name, ".")+1:]
		text = strings.TrimPrefix(strings.TrimPrefix(text, "A "), "An ")
		if first, _, _ := strings.Cut(strings.TrimSpace(text), " "); strings.Trim(first, ":,") != bare {
			t.Errorf("%s: its comment begins %q", name, first)
		}
	}
	values := slices.Concat(pkg.Consts, pkg.Vars)
	funcs := slices.Clone(pkg.Funcs)
	for _, typ := range pkg.Types {
		documented(typ.Name, typ.Doc)
		values, funcs = slices.Concat(values, typ.Consts, typ.Vars), append(funcs, typ.Funcs...)
		for _, m := range typ.Methods {
			documented(typ.Name+"."+m.Name, m.Doc)
		}
	}
	for _, f := range funcs {
		documented(f.Name, f.Doc)
	}
	for _, v := range values {
		for _, spec := range v.Decl.Specs {
			if s := spec.(*ast.ValueSpec); v.Doc == "" && s.Doc == nil && s.Comment == nil {
				t.Errorf("%v have no comment", s.Names)
			}
		}
	}
}

// TestDocLinksLead: what a comment names in brackets is there.
func TestDocLinksLead(t *testing.T) {
	pkg := parseAPI(t)
	known := map[string]bool{}
	for _, f := range pkg.Funcs {
		known[f.Name] = true
	}
	values := slices.Concat(pkg.Consts, pkg.Vars)
	for _, typ := range pkg.Types {
		known[typ.Name] = true
		for _, name := range slices.Concat(members(typ), interfaceMethods(typ)) {
			known[typ.Name+"."+name] = true
		}
		for _, f := range typ.Funcs {
			known[f.Name] = true
		}
		values = slices.Concat(values, typ.Consts, typ.Vars)
	}
	for _, v := range values {
		for _, name := range v.Names {
			known[name] = true
		}
	}
	link := regexp.MustCompile(`\[\*?([A-Z][A-Za-z0-9]+(\.[A-Z][A-Za-z0-9]*)?)\]`)
	for _, name := range must(filepath.Glob("*.go")) {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		for _, group := range must(parser.ParseFile(token.NewFileSet(), name, nil, parser.ParseComments)).Comments {
			for _, m := range link.FindAllStringSubmatch(group.Text(), -1) {
				if !known[m[1]] {
					t.Errorf("%s links %s", name, m[0])
				}
			}
		}
	}
}

// members are a type's fields and methods.
func members(typ *doc.Type) []string {
	var out []string
	for _, m := range typ.Methods {
		out = append(out, m.Name)
	}
	for _, spec := range typ.Decl.Specs {
		if s, ok := spec.(*ast.TypeSpec).Type.(*ast.StructType); ok {
			for _, f := range s.Fields.List {
				for _, name := range f.Names {
					out = append(out, name.Name)
				}
			}
		}
	}
	return out
}

func interfaceMethods(typ *doc.Type) []string {
	var out []string
	for _, spec := range typ.Decl.Specs {
		face, ok := spec.(*ast.TypeSpec).Type.(*ast.InterfaceType)
		if !ok {
			continue
		}
		for _, m := range face.Methods.List {
			for _, name := range m.Names {
				if name.IsExported() {
					out = append(out, name.Name)
				}
			}
		}
	}
	return out
}
