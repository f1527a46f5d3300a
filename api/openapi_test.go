package api_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/google/jsonschema-go/jsonschema"

	"github.com/interactorhq/interactor/api"
	"github.com/interactorhq/interactor/forward"
)

// openAPI is the part of the document that is checked.
type openAPI struct {
	OpenAPI string
	Servers []struct{ URL string }
	Paths   map[string]map[string]operation

	Components struct {
		Parameters map[string]parameter
		Responses  map[string]answer
		Schemas    map[string]json.RawMessage
	}
}

type operation struct {
	OperationID string
	Security    *[]any
	Parameters  []parameter
	RequestBody *answer
	Responses   map[string]answer
}

type parameter struct {
	Ref      string `json:"$ref"`
	Name, In string
	Required bool
}

type answer struct {
	Ref     string `json:"$ref"`
	Content map[string]struct{ Schema json.RawMessage }
}

var document = sync.OnceValue(func() openAPI {
	var d openAPI
	if err := json.Unmarshal(api.OpenAPI(), &d); err != nil {
		panic(err)
	}
	return d
})

func (d openAPI) parameters(op operation, in string) (names []string) {
	for _, p := range op.Parameters {
		if name, ok := strings.CutPrefix(p.Ref, "#/components/parameters/"); ok {
			p = d.Components.Parameters[name]
		}
		if p.In == in {
			names = append(names, p.Name)
		}
	}
	return names
}

func (d openAPI) answer(op operation, status int) (answer, bool) {
	a, ok := op.Responses[strconv.Itoa(status)]
	if name, isRef := strings.CutPrefix(a.Ref, "#/components/responses/"); isRef {
		a, ok = d.Components.Responses[name]
	}
	return a, ok
}

// resolve makes a schema of the document usable on its own: in OpenAPI 3.1 they
// are JSON Schema 2020-12, but for where references point.
func (d openAPI) resolve(schema json.RawMessage) (*jsonschema.Resolved, error) {
	defs, err := json.Marshal(d.Components.Schemas)
	if err != nil {
		return nil, err
	}
	whole := fmt.Sprintf(`{"allOf":[%s],"$defs":%s}`, schema, defs)
	var s jsonschema.Schema
	if err := json.Unmarshal([]byte(strings.ReplaceAll(whole, "#/components/schemas/", "#/$defs/")), &s); err != nil {
		return nil, err
	}
	return s.Resolve(nil)
}

var resolved sync.Map // schema text: *jsonschema.Resolved

// validate holds JSON against a schema of the document.
func (d openAPI) validate(schema json.RawMessage, text string) error {
	found, ok := resolved.Load(string(schema))
	if !ok {
		r, err := d.resolve(schema)
		if err != nil {
			return fmt.Errorf("the schema %s: %w", schema, err)
		}
		found, _ = resolved.LoadOrStore(string(schema), r)
	}
	var v any
	if err := json.Unmarshal([]byte(text), &v); err != nil {
		return err
	}
	return found.(*jsonschema.Resolved).Validate(v)
}

var braces = regexp.MustCompile(`\{[^}]+\}`)

// operationFor finds what the document says about a request, most exact path first.
func (d openAPI) operationFor(method, path string) (operation, bool) {
	path, _, _ = strings.Cut(path, "?")
	if method == http.MethodHead {
		method = http.MethodGet
	}
	patterns := make([]string, 0, len(d.Paths))
	for p := range d.Paths {
		patterns = append(patterns, p)
	}
	slices.SortFunc(patterns, func(a, b string) int { return strings.Count(a, "{") - strings.Count(b, "{") })
	for _, p := range patterns {
		if !regexp.MustCompile("^" + braces.ReplaceAllString(p, `[^/]+`) + "$").MatchString(path) {
			continue
		}
		op, ok := d.Paths[p][strings.ToLower(method)]
		return op, ok
	}
	return operation{}, false
}

// conforms holds an answer against the document.
func conforms(t testing.TB, method, path string, got response) {
	t.Helper()
	d := document()
	op, known := d.operationFor(method, path)
	schema := json.RawMessage(`{"$ref":"#/components/schemas/Error"}`)
	media, _, _ := strings.Cut(got.header.Get("Content-Type"), ";")
	if known && got.status != http.StatusMethodNotAllowed {
		a, ok := d.answer(op, got.status)
		if !ok {
			t.Errorf("%s %s answered %d %s, which the document does not know", method, path, got.status, got.body)
			return
		}
		if len(a.Content) == 0 {
			if got.body != "" || media != "" {
				t.Errorf("%s %s answered %d with a body (%s): %q", method, path, got.status, media, got.body)
			}
			return
		}
		c, ok := a.Content[media]
		if !ok {
			t.Errorf("%s %s answered %d as %q, which the document does not know", method, path, got.status, media)
			return
		}
		schema = c.Schema
	}
	if media != "application/json" {
		return
	}
	if method != http.MethodHead || got.body != "" {
		if err := d.validate(schema, got.body); err != nil {
			t.Errorf("%s %s answered %d %s, which is not as documented: %v", method, path, got.status, got.body, err)
		}
	}
}

func TestDocumentHasEveryRoute(t *testing.T) {
	t.Parallel()
	d := document()
	if d.OpenAPI != "3.1.0" || len(d.Servers) != 1 || d.Servers[0].URL != "/api/v1" {
		t.Errorf("OpenAPI %q, servers %v", d.OpenAPI, d.Servers)
	}
	seen := make(map[string]bool)
	ids := make(map[string]bool)
	for _, r := range api.Routes() {
		seen[r.Method+" "+r.Path] = true
		op, ok := d.Paths[r.Path][strings.ToLower(r.Method)]
		if !ok {
			t.Errorf("%s %s is not documented", r.Method, r.Path)
			continue
		}
		if op.OperationID == "" || ids[op.OperationID] {
			t.Errorf("%s %s: operationId %q is missing or used twice", r.Method, r.Path, op.OperationID)
		}
		ids[op.OperationID] = true
		if open := op.Security != nil && len(*op.Security) == 0; open != r.Open {
			t.Errorf("%s %s: documented as open %v, is %v", r.Method, r.Path, open, r.Open)
		}
		if once := slices.Contains(d.parameters(op, "header"), "Idempotency-Key"); once != r.Once {
			t.Errorf("%s %s: documented with Idempotency-Key %v, is %v", r.Method, r.Path, once, r.Once)
		}
		var want []string
		for _, name := range braces.FindAllString(r.Path, -1) {
			want = append(want, strings.Trim(name, "{}"))
		}
		if got := d.parameters(op, "path"); !slices.Equal(got, want) {
			t.Errorf("%s %s: path parameters %v, want %v", r.Method, r.Path, got, want)
		}
	}
	for path, operations := range d.Paths {
		for method := range operations {
			if !seen[strings.ToUpper(method)+" "+path] {
				t.Errorf("%s %s is documented and does not exist", method, path)
			}
		}
	}
	for name, schema := range d.Components.Schemas {
		if _, err := d.resolve(schema); err != nil {
			t.Errorf("schema %s: %v", name, err)
		}
	}
}

// What an endpoint says it knows when it is asked for something else.
var knownNames = regexp.MustCompile(`is unknown: there are ([^ ]+(?:, [^ ]+)*)$`)

func TestDocumentHasEveryParameter(t *testing.T) {
	t.Parallel()
	in := install(t)
	d := document()
	conn, ev := in.connect(t, in.key, "user-1").ID, in.example(t, in.key).ID
	for _, r := range api.Routes() {
		if r.Open {
			continue
		}
		path := fill(r.Path, conn, ev)
		got := in.call(t, r.Method, path+"?zzz=1", in.key, bodyFor(r))
		if got.status != 400 || got.code() != "invalid_parameter" || got.field() != "zzz" {
			t.Errorf("%s %s with an unknown parameter: %d %s", r.Method, r.Path, got.status, got.body)
			continue
		}
		var names []string
		var e api.Error
		got.json(t, &e)
		if strings.HasSuffix(e.Message, "there are no parameters") {
			e.Message = ""
		}
		if m := knownNames.FindStringSubmatch(e.Message); m != nil {
			names = strings.Split(m[1], ", ")
		}
		want := slices.DeleteFunc(d.parameters(d.Paths[r.Path][strings.ToLower(r.Method)], "query"), func(name string) bool { return name == "input" })
		slices.Sort(names)
		slices.Sort(want)
		if !slices.Equal(names, want) {
			t.Errorf("%s %s knows the parameters %v, documented are %v", r.Method, r.Path, names, want)
		}
	}
}

// fill puts values into the parameters of a path.
func fill(path, connection, event string) string {
	return fillAll(path, connection, event, "dlv_01KATE9W1B6S0Z3YV8K5QH2T4G", "rpl_01KATE9W1B6S0Z3YV8K5QH2T4G")
}

func fillAll(path, connection, event, delivery, replay string) string {
	path = strings.ReplaceAll(path, "{connector}", "shop")
	switch {
	case strings.HasPrefix(path, "/connections/"):
		return strings.ReplaceAll(path, "{id}", connection)
	case strings.HasPrefix(path, "/deliveries/"):
		return strings.ReplaceAll(path, "{id}", delivery)
	case strings.HasPrefix(path, "/replays/"):
		return strings.ReplaceAll(path, "{id}", replay)
	}
	return strings.ReplaceAll(path, "{id}", event)
}

// bodyFor is one that the endpoint accepts.
func bodyFor(r api.Route) string {
	switch r.Method + " " + r.Path {
	case "POST /connections":
		return `{"connector":"webhook","account":"user-42","input":{"scheme":"bearer","secret":"0123456789abcdef"}}`
	case "PATCH /connections/{id}":
		return `{"params":{}}`
	case "PUT /forwarding":
		return `{"url":"https://app.example.com/","triggers":["shop.*"]}`
	case "POST /events/test":
		return `{"trigger":"shop.order.placed"}`
	case "PUT /apps/{connector}":
		return `{"client_id":"mine","client_secret":"s","fields":{"signing_secret":"x"}}`
	case "POST /replays":
		return `{"status":"dead"}`
	case "POST /api-key", "POST /events/{id}/replay", "POST /deliveries/{id}/replay":
		return `{}`
	}
	return ""
}

func TestDocumentHasEveryErrorClass(t *testing.T) {
	t.Parallel()
	var attempt struct {
		Properties map[string]struct{ Enum []string }
	}
	if err := json.Unmarshal(document().Components.Schemas["Attempt"], &attempt); err != nil {
		t.Fatal(err)
	}
	want := []string{""} // delivered
	for _, c := range forward.ErrorClasses() {
		want = append(want, string(c))
	}
	if got := attempt.Properties["error_class"].Enum; !slices.Equal(got, want) {
		t.Errorf("the document lists %q, want %q", got, want)
	}
}
