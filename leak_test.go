package interactor_test

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/interactorhq/interactor"
	"github.com/interactorhq/interactor/deployment"
	"github.com/interactorhq/interactor/forward"
	"github.com/interactorhq/interactor/interactortest"
	"github.com/interactorhq/interactor/seal"
)

// collector keeps everything that is logged, at every level.
type collector struct {
	mu sync.Mutex
	b  bytes.Buffer
	slog.Handler
}

func newCollector() *collector {
	c := &collector{}
	c.Handler = slog.NewJSONHandler(c, &slog.HandlerOptions{Level: slog.LevelDebug - 100, AddSource: true})
	return c
}

func (c *collector) Write(p []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.b.Write(p)
}

func (c *collector) bytes() []byte {
	c.mu.Lock()
	defer c.mu.Unlock()
	return bytes.Clone(c.b.Bytes())
}

// forms are how a secret may stand somewhere: plain, and in the codings that the
// program uses, at each of the three places within base64's groups.
func forms(secret string) map[string][]byte {
	out := map[string][]byte{
		"plain": []byte(secret),
		"hex":   []byte(hex.EncodeToString([]byte(secret))),
		"HEX":   []byte(strings.ToUpper(hex.EncodeToString([]byte(secret)))),
	}
	for name, enc := range map[string]*base64.Encoding{"base64": base64.RawStdEncoding, "base64url": base64.RawURLEncoding} {
		for shift := range 3 {
			coded := enc.EncodeToString(append(make([]byte, shift), secret...))
			// The first group holds what stands before, the last one what follows.
			out[fmt.Sprintf("%s at %d", name, shift)] = []byte(coded[4 : len(coded)-4])
		}
	}
	if quoted, err := json.Marshal(secret); err == nil {
		out["JSON"] = quoted[1 : len(quoted)-1]
	}
	return out
}

// findSecrets fails the test for each secret that stands in data.
func findSecrets(t *testing.T, where string, data []byte, secrets map[string]string) {
	t.Helper()
	for name, secret := range secrets {
		if len(secret) < 12 {
			t.Fatalf("%s is too short to be searched for", name)
		}
		for form, text := range forms(secret) {
			if bytes.Contains(data, text) {
				t.Errorf("%s holds %s (%s)", where, name, form)
				break
			}
		}
	}
}

// leakWorld runs the main flow, and the API's endpoints that handle secrets, and
// returns every secret that was seen on the way.
func leakWorld(t *testing.T, w *world, in *interactortest.Server) map[string]string {
	t.Helper()
	w.fill(t, in)
	for range 3 { // tokens of now and of before
		w.google.ExpireTokens()
		client, err := in.Client(t.Context(), w.token.ID)
		if err != nil {
			t.Fatal(err)
		}
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, w.google.URL+"/gmail/v1/users/me/profile", nil)
		if err != nil {
			t.Fatal(err)
		}
		if err := expect(client.Do(req)); err != nil {
			t.Fatal(err)
		}
	}
	key, err := in.Deployments.IssueKey(t.Context(), deployment.KeyRequest{})
	if err != nil {
		t.Fatal(err)
	}
	call := func(method, path, body string) string {
		t.Helper()
		req, err := http.NewRequestWithContext(t.Context(), method, in.URL+"/api/v1"+path, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("x-api-key", key)
		req.Header.Set("Idempotency-Key", method+path)
		status, answer := do(t, req)
		if status/100 != 2 {
			t.Fatalf("%s %s: %d %s", method, path, status, answer)
		}
		return answer
	}
	secrets := map[string]string{"the API key": key}
	const connectionSecret, apiHeader, apiApp = "connection-secret-of-the-api-01", "header-value-of-the-api-0123456", "app-secret-of-the-api-0123456"
	call(http.MethodPost, "/connections", `{"connector":"webhook","account":"user-77","input":{"scheme":"bearer","secret":"`+connectionSecret+`"}}`)
	call(http.MethodPut, "/apps/gmail", `{"client_id":"own","client_secret":"`+apiApp+`","fields":{"topic":"projects/p/topics/t","push_audience":"https://a.example","push_service_account":"a@b.iam.gserviceaccount.com"}}`)
	call(http.MethodPut, "/forwarding", `{"url":"`+w.inbox.url+`","header_key":"X-Shop-Token","header_value":"`+apiHeader+`","triggers":["*"],"raw":true}`)
	w.post(t, in)
	until(t, "another webhook is delivered", func() bool { return w.inbox.received.Load() >= int64(w.events) })
	for rec, err := range in.Forwarder.Events(t.Context(), forward.Query{}) {
		if err != nil {
			t.Fatal(err)
		}
		if len(rec.Payload) > 0 {
			call(http.MethodPost, "/events/"+rec.ID+"/replay", "")
			break
		}
	}
	secret, err := in.Deployments.RotateSecret(t.Context(), deployment.DefaultDeployment, 0)
	if err != nil {
		t.Fatal(err)
	}
	w.spy.mu.Lock()
	defer w.spy.mu.Unlock()
	for secret := range w.spy.all {
		if name := "a secret of the provider's (" + secret[:4] + "…)"; len(secret) >= 12 {
			secrets[name+fmt.Sprint(len(secrets))] = secret
		}
	}
	maps.Copy(secrets, map[string]string{
		"the header value": headerValue, "the secret of a sender": senderSecret, "the secret of an App": appSecret,
		"the key of a watch": watchSecret, "a payload": bodyMarker, "a request that could not be decoded": deadMarker,
		"a response": answerMarker, "a notice": thinMarker,
		"a signing secret":                   strings.TrimPrefix(signing, "whsec_"),
		"a new signing secret":               strings.TrimPrefix(secret, "whsec_"),
		"a secret of the API's (connection)": connectionSecret, "a secret of the API's (header)": apiHeader, "a secret of the API's (App)": apiApp,
	})
	return secrets
}

// A copy of the database, its WAL and its backups reveals nothing to who does not
// have the key; nor does a log at debug level, or below.
func TestACopyRevealsNothing(t *testing.T) {
	t.Parallel()
	for _, payloads := range []bool{true, false} {
		t.Run(fmt.Sprintf("payloads sealed: %t", payloads), func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			path, logs, key := filepath.Join(dir, "interactor.db"), newCollector(), seal.NewKey()
			w := newWorld(t)
			w.edit = func(cfg *interactor.Config) { cfg.Logger, cfg.SealPayloads = slog.New(logs), payloads }
			var secrets map[string]string
			look := func(t *testing.T) {
				t.Helper()
				files, err := os.ReadDir(dir)
				if err != nil || len(files) == 0 {
					t.Fatalf("%d files, %v", len(files), err)
				}
				for _, file := range files {
					data, err := os.ReadFile(filepath.Join(dir, file.Name()))
					if err != nil {
						t.Fatal(err)
					}
					findSecrets(t, file.Name(), data, secrets)
				}
			}
			t.Run("running", func(t *testing.T) {
				in := w.start(t, path, key)
				secrets = leakWorld(t, w, in)
				secrets["the sealing key"] = key
				if !payloads { // what was not asked for
					for _, name := range []string{"a payload", "a response", "a notice"} {
						delete(secrets, name)
					}
				}
				// Proof that the search would find something: what is not secret is there.
				if data, err := os.ReadFile(path + "-wal"); err != nil || !bytes.Contains(data, []byte("alice@example.com")) {
					t.Fatalf("the WAL does not hold what it must: %v", err)
				}
				if err := w.db.Backup(t.Context(), filepath.Join(dir, "backup.db")); err != nil {
					t.Fatal(err)
				}
				look(t)
			})
			look(t) // closed: all of it is in the file
			if !bytes.Contains(logs.bytes(), []byte(`"level":"`)) {
				t.Fatal("nothing was logged: the test proves nothing")
			}
			findSecrets(t, "the log", logs.bytes(), secrets)
		})
	}
}

func TestFindSecrets(t *testing.T) {
	t.Parallel()
	const secret = "a-token-that-nobody-may-see"
	for _, hidden := range []string{
		secret, "x" + secret, hex.EncodeToString([]byte(secret)),
		base64.StdEncoding.EncodeToString([]byte("x" + secret + "y")), base64.URLEncoding.EncodeToString([]byte("xx" + secret)),
		base64.RawURLEncoding.EncodeToString([]byte(secret)),
	} {
		found := false
		for _, text := range forms(secret) {
			found = found || bytes.Contains([]byte(hidden), text)
		}
		if !found {
			t.Errorf("%q would not be found", hidden)
		}
	}
}
