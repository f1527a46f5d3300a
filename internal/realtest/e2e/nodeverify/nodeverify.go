// Package nodeverify has npm's Standard Webhooks library judge deliveries: a verifier in another
// language that this project did not write. Start with [Verify].
package nodeverify

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/interactorhq/interactor/internal/realtest/e2e/realpart"
)

// Delivery is one request as a receiver got it.
type Delivery struct {
	// Secret is the signing secret in its written form, whsec_….
	Secret string
	// Header and Body are the request's. The body must be UTF-8, as JSON is.
	Header http.Header
	Body   []byte
}

// Verify gives the deliveries to npm's standardwebhooks and returns one verdict for each, in their
// order: nil when it accepts the delivery, else its reason. Without Node and the installed package
// the test is skipped, or fails where CI=true.
func Verify(t testing.TB, deliveries ...Delivery) []error {
	t.Helper()
	dir := packageDir(t)
	if _, err := exec.LookPath("node"); err != nil {
		realpart.Missing(t, "Node", "install Node 20 or newer")
	}
	if _, err := os.Stat(filepath.Join(dir, "node_modules", "standardwebhooks")); err != nil {
		realpart.Missing(t, "npm's standardwebhooks", "run: npm ci --prefix internal/realtest/npm")
	}
	verdicts, err := run(t, dir, deliveries)
	if err != nil {
		t.Fatalf("nodeverify: %v", err)
	}
	return verdicts
}

func run(t testing.TB, dir string, deliveries []Delivery) ([]error, error) {
	questions, err := encode(deliveries)
	if err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(t.Context(), "node", filepath.Join(dir, "verify.js"))
	cmd.Stdin = questions
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("node: %w\n%s", err, stderr.String())
	}
	var verdicts []error
	for lines := bufio.NewScanner(bytes.NewReader(out)); lines.Scan(); {
		var answer struct {
			OK    bool   `json:"ok"`
			Error string `json:"error"`
		}
		if err := json.Unmarshal(lines.Bytes(), &answer); err != nil {
			return nil, fmt.Errorf("verify.js answered %q: %w", lines.Text(), err)
		}
		switch {
		case answer.OK:
			verdicts = append(verdicts, nil)
		default:
			verdicts = append(verdicts, errors.New(answer.Error))
		}
	}
	if len(verdicts) != len(deliveries) {
		return nil, fmt.Errorf("verify.js gave %d verdicts on %d deliveries", len(verdicts), len(deliveries))
	}
	return verdicts, nil
}

// encode writes one JSON object a line, as verify.js reads them.
func encode(deliveries []Delivery) (*bytes.Buffer, error) {
	var lines bytes.Buffer
	out := json.NewEncoder(&lines)
	for _, d := range deliveries {
		header := make(map[string]string, len(d.Header))
		for name, values := range d.Header {
			header[name] = strings.Join(values, ", ") // as Node's own server hands them over
		}
		question := struct {
			Secret  string            `json:"secret"`
			Headers map[string]string `json:"headers"`
			Body    []byte            `json:"body"` // base64
		}{d.Secret, header, d.Body}
		if err := out.Encode(question); err != nil {
			return nil, err
		}
	}
	return &lines, nil
}

// packageDir finds internal/realtest/npm beside this source file, wherever the test runs.
func packageDir(t testing.TB) string {
	t.Helper()
	_, file, _, ok := runtime.Caller(0)
	if !ok {
		t.Fatal("nodeverify: the test binary has no source positions: do not build it with -trimpath")
	}
	return filepath.Join(filepath.Dir(file), "..", "..", "npm")
}
