// Package archtest holds the import diagram of docs/architecture.md: which room
// may import which, and how much third-party code the core brings along.
package archtest

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/interactorhq/interactor"

// mayImport says for each room which rooms its product code may import. A room
// that ends in /* stands for all packages below it. internal/* may be imported
// by everybody and, like trigger and seal, imports no room.
var mayImport = map[string][]string{
	"trigger":                    {},
	"seal":                       {},
	"seal/sealtest":              {"seal"},
	"internal/*":                 {},
	"webhook":                    {"trigger"},
	"connector":                  {"trigger"},
	"connector/signature":        {"connector", "webhook"},
	"connector/connectortest":    {"connector", "trigger"},
	"connector/*":                {"connector", "connector/signature", "connector/*", "trigger", "webhook"},
	"forward":                    {"connector", "trigger", "webhook", "seal"},
	"forward/forwardtest":        {"forward", "trigger", "webhook"},
	"auth":                       {"connector", "trigger", "seal"},
	"subscription":               {"connector", "trigger", "seal"},
	"deployment":                 {"forward", "connector", "trigger", "seal", "webhook"},
	"api":                        {"auth", "deployment", "subscription", "forward", "connector", "trigger"},
	"":                           {"api", "auth", "deployment", "subscription", "forward", "connector", "trigger", "seal", "webhook"},
	"interactortest":             {"", "store/sqlite", "seal", "forward", "connector", "trigger", "webhook", "auth"},
	"store/*":                    {"", "api", "auth", "deployment", "subscription", "forward", "connector", "trigger", "seal", "store/*"},
	"examples/*":                 {"*"},
	"bench":                      {"*"},
	"internal/realtest/*":        {"*"},
	"connector/gmail/gmailtest":  {"connector/gmail", "connector/gmail/gmailevent", "connector", "trigger"},
	"connector/gmail/gmailevent": {},
	"connector/gitea/giteaevent": {},
	"connector/jira/jiraevent":   {},
	"connector/*/*":              {"connector", "connector/signature", "connector/*", "trigger"},
}

// core is everything but connectors, stores, the console and examples.
func core(room string) bool {
	for _, p := range []string{"connector/", "store/", "console", "examples/", "bench", "interactortest", "forward/forwardtest", "internal/archtest"} {
		if strings.HasPrefix(room, p) && room != "connector/signature" {
			return false
		}
	}
	return true
}

type pkg struct {
	ImportPath string
	Standard   bool
	Imports    []string
	Deps       []string
	Module     *struct{ Path string }
}

func list(t *testing.T) []pkg {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "go", "list", "-deps", "-json=ImportPath,Standard,Imports,Deps,Module", "./...")
	cmd.Dir = "../.."
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list: %v\n%s", err, stderr.String())
	}
	var pkgs []pkg
	for dec := json.NewDecoder(bytes.NewReader(out)); ; {
		var p pkg
		if err := dec.Decode(&p); errors.Is(err, io.EOF) {
			return pkgs
		} else if err != nil {
			t.Fatal(err)
		}
		pkgs = append(pkgs, p)
	}
}

func roomOf(importPath string) (room string, ours bool) {
	if importPath == module {
		return "", true
	}
	return strings.CutPrefix(importPath, module+"/")
}

// rule returns the most specific key of mayImport that covers room.
func rule(room string) (string, bool) {
	if _, ok := mayImport[room]; ok {
		return room, true
	}
	for parent := room; ; {
		i := strings.LastIndexByte(parent, '/')
		if i < 0 {
			return "", false
		}
		parent = parent[:i]
		depth := strings.Count(room[len(parent):], "/")
		if key := parent + strings.Repeat("/*", depth); mayImport[key] != nil {
			return key, true
		}
		if key := parent + "/*"; mayImport[key] != nil {
			return key, true
		}
	}
}

func allowed(from, to string) bool {
	if strings.HasPrefix(to, "internal/") {
		return true
	}
	key, ok := rule(from)
	if !ok {
		return false
	}
	return slices.ContainsFunc(mayImport[key], func(p string) bool { return covers(p, to) })
}

func covers(pattern, room string) bool {
	if pattern == "*" || pattern == room {
		return true
	}
	dir, wild := strings.CutSuffix(pattern, "/*")
	return wild && strings.HasPrefix(room, dir+"/")
}

func TestArrowsPointOneWay(t *testing.T) {
	t.Parallel()
	for _, p := range list(t) {
		from, ours := roomOf(p.ImportPath)
		if !ours {
			continue
		}
		if _, ok := rule(from); !ok {
			t.Errorf("room %q is not in the diagram: add it to mayImport and to docs/architecture.md", from)
			continue
		}
		for _, imported := range p.Imports {
			if to, ours := roomOf(imported); ours && !allowed(from, to) {
				t.Errorf("%q must not import %q", from, to)
			}
		}
	}
}

func TestStandardLibraryOnly(t *testing.T) {
	t.Parallel()
	std := make(map[string]bool)
	pkgs := list(t)
	for _, p := range pkgs {
		std[p.ImportPath] = p.Standard
	}
	for _, p := range pkgs {
		room, ours := roomOf(p.ImportPath)
		if !ours || !slices.Contains([]string{"trigger", "webhook", "seal", "connector/gmail/gmailevent", "connector/gitea/giteaevent", "connector/jira/jiraevent"}, room) {
			continue
		}
		for _, d := range p.Deps {
			if _, ours := roomOf(d); !ours && !std[d] {
				t.Errorf("%s depends on %s; receivers import it, so it keeps to the standard library", room, d)
			}
		}
	}
}

func TestCoreIsLight(t *testing.T) {
	t.Parallel()
	const limit = 60
	forbidden := []string{"google.golang.org/api", "github.com/andygrunwald/", "github.com/ncruces/", "modernc.org/", "github.com/jackc/", "github.com/stretchr/testify", "google.golang.org/grpc"}
	third := make(map[string]bool)
	pkgs := list(t)
	std := make(map[string]bool)
	for _, p := range pkgs {
		std[p.ImportPath] = p.Standard
	}
	for _, p := range pkgs {
		room, ours := roomOf(p.ImportPath)
		if !ours || !core(room) {
			continue
		}
		for _, d := range p.Deps {
			if _, ours := roomOf(d); ours || std[d] {
				continue
			}
			third[d] = true
			for _, f := range forbidden {
				if strings.HasPrefix(d, f) {
					t.Errorf("core room %q depends on %s: heavy parts belong in leaves", room, d)
				}
			}
		}
	}
	if len(third) > limit {
		t.Errorf("the core compiles %d third-party packages, at most %d are allowed", len(third), limit)
	}
	t.Logf("the core compiles %d third-party packages", len(third))
}

// TestTheDiagramCanFail plants forbidden arrows.
func TestTheDiagramCanFail(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		from, to string
		want     bool
	}{
		{"forward", "auth", false},
		{"auth", "subscription", false},
		{"subscription", "forward", false},
		{"trigger", "connector", false},
		{"webhook", "forward", false},
		{"connector", "forward", false},
		{"connector/gmail", "forward", false},
		{"connector/gmail", "connector/signature", true},
		{"connector/gmail/gmailevent", "connector", false},
		{"deployment", "forward", true},
		{"forward", "deployment", false},
		{"api", "", false},
		{"", "store/sqlite", false},
		{"examples/server", "store/sqlite", true},
		{"newroom", "trigger", false},
	} {
		if got := allowed(row.from, row.to); got != row.want {
			t.Errorf("%q -> %q: allowed %v, want %v", row.from, row.to, got, row.want)
		}
	}
}
