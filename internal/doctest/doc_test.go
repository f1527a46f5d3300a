package doctest

import (
	"encoding/json"
	"fmt"
	"go/ast"
	"go/format"
	"go/parser"
	"go/token"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/interactorhq/interactor"

// tutorial is the document whose code is that of an example, word for word.
const tutorial = "docs/connectors.md"

var link = regexp.MustCompile(`\]\(([^)\s]+)\)`)

func TestLinksLeadSomewhere(t *testing.T) {
	t.Parallel()
	all := documents(t)
	for _, d := range all {
		for _, m := range link.FindAllStringSubmatch(d.prose(), -1) {
			target, fragment, _ := strings.Cut(m[1], "#")
			if regexp.MustCompile(`^[a-z]+:`).MatchString(target) {
				continue // the network's
			}
			path := filepath.Join(filepath.Dir(d.path), filepath.FromSlash(target))
			if target == "" {
				path = d.path
			}
			if _, err := os.Stat(filepath.Join(root, path)); err != nil {
				t.Errorf("%s: the link (%s) leads nowhere", d.path, m[1])
				continue
			}
			i := slices.IndexFunc(all, func(o document) bool { return o.path == filepath.ToSlash(path) })
			if fragment != "" && i >= 0 && !all[i].anchors()[fragment] {
				t.Errorf("%s: the link (%s) names a heading that %s does not have", d.path, m[1], all[i].path)
			}
		}
	}
}

func TestJSONIsJSON(t *testing.T) {
	t.Parallel()
	for _, d := range documents(t) {
		for _, b := range d.blocks("json") {
			if !json.Valid([]byte(b.code)) {
				t.Errorf("%s:%d: the block is no JSON", d.path, b.line)
			}
		}
	}
}

// The tutorial shows the example's own code. A line "// …" stands for code that
// is left out.
func TestTutorialShowsTheExample(t *testing.T) {
	t.Parallel()
	var sources []string
	for _, pattern := range []string{"*.go", "acme/*.go", "acme/acmetest/*.go"} {
		files, err := filepath.Glob(filepath.Join(root, "examples", "ownconnector", pattern))
		if err != nil || len(files) == 0 {
			t.Fatalf("%s: %v files, %v", pattern, len(files), err)
		}
		for _, file := range files {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			sources = append(sources, squeeze(string(text)))
		}
	}
	seen := 0
	for _, d := range documents(t) {
		if d.path != tutorial {
			continue
		}
		for _, b := range d.blocks("go") {
			seen++
			for piece := range strings.SplitSeq(b.code, "// …\n") {
				want := squeeze(piece)
				if !slices.ContainsFunc(sources, func(s string) bool { return strings.Contains(s, want) }) {
					t.Errorf("%s:%d: examples/ownconnector has no such code:\n%s", d.path, b.line, piece)
				}
			}
		}
	}
	if seen < 5 {
		t.Errorf("%s has %d Go blocks: it should show the whole connector", tutorial, seen)
	}
}

// squeeze makes all white space one blank.
func squeeze(s string) string { return strings.Join(strings.Fields(s), " ") }

// Every other Go block is compiled and vetted as part of a program.
func TestCodeInDocumentsCompiles(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	place, err := filepath.Abs(".") // as files of this package, which exist in the overlay only
	if err != nil {
		t.Fatal(err)
	}
	overlay := struct {
		Replace map[string]string `json:"Replace"`
	}{Replace: make(map[string]string)}
	for _, d := range documents(t) {
		if d.path == tutorial {
			continue
		}
		for _, b := range d.blocks("go") {
			name := fmt.Sprintf("snippet%02d.go", len(overlay.Replace))
			source, err := program(b.code, fmt.Sprintf("snippet%02d", len(overlay.Replace)), d.path, b.line)
			if err != nil {
				t.Errorf("%s:%d: %v", d.path, b.line, err)
				continue
			}
			if err := os.WriteFile(filepath.Join(dir, name), source, 0o600); err != nil {
				t.Fatal(err)
			}
			overlay.Replace[filepath.Join(place, name)] = filepath.Join(dir, name)
		}
	}
	if len(overlay.Replace) < 2 {
		t.Fatal("README.md should show how to use the library and how to receive")
	}
	text, err := json.Marshal(overlay)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "overlay.json"), text, 0o600); err != nil {
		t.Fatal(err)
	}
	vet := exec.CommandContext(t.Context(), "go", "vet", "-overlay", filepath.Join(dir, "overlay.json"), ".")
	vet.Env = append(os.Environ(), "GOPROXY=off")
	if out, err := vet.CombinedOutput(); err != nil {
		t.Errorf("code in the documents does not compile: %v\n%s", err, out)
	}
}

// packages are what code in documents may mention without an import.
func packages() map[string]string {
	return map[string]string{
		"context": "context", "errors": "errors", "fmt": "fmt", "http": "net/http", "log": "log", "os": "os", "slog": "log/slog", "time": "time",
		"interactor": module, "auth": module + "/auth", "connector": module + "/connector", "deployment": module + "/deployment",
		"forward": module + "/forward", "gitea": module + "/connector/gitea", "gmail": module + "/connector/gmail",
		"otel": "go.opentelemetry.io/otel", "seal": module + "/seal", "sqlite": module + "/store/sqlite", "subscription": module + "/subscription", "trigger": module + "/trigger", "webhook": module + "/webhook",
	}
}

// given are names that code in documents may use: a document need not repeat
// how each came to be.
const given = `ctx context.Context, in *interactor.Interactor, db *sqlite.Store, ev trigger.Event, clientID, clientSecret string`

// program wraps a block into a file of a package. Errors of the compiler name
// the document and its line.
func program(code, name, path string, line int) ([]byte, error) {
	last := code[strings.LastIndex(strings.TrimSpace(code), "\n")+1:]
	end := "return nil\n"
	if strings.HasPrefix(last, "return ") {
		end = "" // what stood behind it could not be reached
	}
	body := fmt.Sprintf("func %s(%s) error {\n{\n//line /%s:%d\n%s}\n%s}\n", name, given, path, line, code, end)
	parsed, err := parser.ParseFile(token.NewFileSet(), "", "package doctest\n"+body, parser.SkipObjectResolution)
	if err != nil {
		return nil, err
	}
	known, used := packages(), make(map[string]bool)
	ast.Inspect(parsed, func(n ast.Node) bool {
		if s, ok := n.(*ast.SelectorExpr); ok {
			if x, ok := s.X.(*ast.Ident); ok && known[x.Name] != "" {
				used[known[x.Name]] = true
			}
		}
		return true
	})
	var b strings.Builder
	b.WriteString("package doctest\n\nimport (\n")
	for _, p := range slices.Sorted(maps.Keys(used)) {
		fmt.Fprintf(&b, "%q\n", p)
	}
	b.WriteString(")\n\n" + body)
	return format.Source([]byte(b.String()))
}
