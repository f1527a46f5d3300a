package deployment_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/interactorhq/interactor/deployment"
)

func TestKeys(t *testing.T) {
	t.Parallel()
	r := newRoom(t, deployment.Config{Default: true})
	ctx := t.Context()
	issue := func(req deployment.KeyRequest) string {
		t.Helper()
		key, err := r.IssueKey(ctx, req)
		if err != nil {
			t.Fatal(err)
		}
		return key
	}
	works := func(key string, want bool) {
		t.Helper()
		e, err := r.Authenticate(ctx, key)
		if want && (err != nil || e.ID != "env_default" || e.Name != "Production") {
			t.Errorf("Authenticate = %+v, %v", e, err)
		}
		if !want && !errors.Is(err, deployment.ErrBadKey) {
			t.Errorf("Authenticate = %+v, %v, want ErrBadKey", e, err)
		}
	}
	first := issue(deployment.KeyRequest{})
	works(first, true)
	second := issue(deployment.KeyRequest{})
	works(first, false) // replaced at once
	works(second, true)

	third := issue(deployment.KeyRequest{Grace: time.Hour})
	r.clock.advance(time.Hour - time.Millisecond)
	works(second, true)
	works(third, true)
	r.clock.advance(time.Millisecond)
	works(second, false)
	works(third, true)

	own := "4f1c9e2ab7d05386" + "a9b8c7d6e5f40312"
	if got := issue(deployment.KeyRequest{Key: own}); got != own {
		t.Errorf("IssueKey returned %q for a key of our own", got)
	}
	works(own, true)
	works(third, false)
	issue(deployment.KeyRequest{Key: own}) // as at every start
	works(own, true)
	fourth := issue(deployment.KeyRequest{Grace: time.Hour})
	works(own, true)
	issue(deployment.KeyRequest{}) // leaked: all others end now
	works(own, false)
	works(fourth, false)

	other := r.ensure(t, deployment.Spec{Organization: "Acme"}).Environments[0].ID
	fifth := issue(deployment.KeyRequest{})
	if _, err := r.IssueKey(ctx, deployment.KeyRequest{Environment: other, Key: fifth}); !errors.Is(err, deployment.ErrKeyTaken) {
		t.Errorf("another environment's key: %v, want ErrKeyTaken", err)
	}
	works(fifth, true)
}

func TestRefusedKeyRequests(t *testing.T) {
	t.Parallel()
	r := newRoom(t, deployment.Config{Default: true})
	valid, err := r.IssueKey(t.Context(), deployment.KeyRequest{})
	if err != nil {
		t.Fatal(err)
	}
	typo := []byte(valid)
	typo[20]++
	for name, req := range map[string]deployment.KeyRequest{
		"short":          {Key: "0123456789abcdef0123456789abcde"},
		"long":           {Key: strings.Repeat("0123456789abcdef", 16)},
		"spaces":         {Key: "0123456789abcdef 0123456789abcdef"},
		"line break":     {Key: "0123456789abcdef\r\n123456789abcdef"},
		"not ASCII":      {Key: "0123456789abcdefé0123456789abcdef"},
		"not random":     {Key: strings.Repeat("x", 40)},
		"ours, mistyped": {Key: string(typo)},
		"negative grace": {Grace: -1},
		"endless grace":  {Grace: 31 * 24 * time.Hour},
		"no environment": {Environment: "env_01KATE9W1B6S0Z3YV8K5QH2T4G"},
	} {
		_, err := r.IssueKey(t.Context(), req)
		if err == nil {
			t.Errorf("%s was taken", name)
		} else if req.Key != "" && strings.Contains(err.Error(), req.Key) {
			t.Errorf("%s: the error contains the key: %v", name, err)
		}
	}
	if _, err := r.Authenticate(t.Context(), valid); err != nil {
		t.Errorf("a refused request replaced the key: %v", err)
	}
}

// A key that cannot be one costs no look-up; the store is closed to prove it.
func TestImplausibleKeysCostNothing(t *testing.T) {
	t.Parallel()
	r := newRoom(t, deployment.Config{Default: true})
	valid, err := r.IssueKey(t.Context(), deployment.KeyRequest{})
	if err != nil {
		t.Fatal(err)
	}
	if err := r.store.Close(); err != nil {
		t.Fatal(err)
	}
	typo := valid[:len(valid)-1] + "!"
	for _, key := range []string{"", "x", "itk_", valid + "0", valid[:52], typo, " " + valid, strings.Repeat("x", 256)} {
		if _, err := r.Authenticate(t.Context(), key); !errors.Is(err, deployment.ErrBadKey) {
			t.Errorf("Authenticate(%q) = %v, want ErrBadKey", key, err)
		}
	}
	if _, err := r.Authenticate(t.Context(), valid); err == nil || errors.Is(err, deployment.ErrBadKey) {
		t.Errorf("with the store away a good key is %v, want another error than ErrBadKey", err)
	}
}

// What lies on the disk is neither the key nor a secret of the settings.
func TestNothingSecretOnDisk(t *testing.T) {
	t.Parallel()
	r := newRoom(t, deployment.Config{Default: true})
	key, err := r.IssueKey(t.Context(), deployment.KeyRequest{})
	if err != nil {
		t.Fatal(err)
	}
	f := settings(url, "gmail.email.sent")
	f.HeaderKey, f.HeaderValue = "X-Token", "header-value-to-look-for"
	if err := r.SetForwarding(t.Context(), "", f); err != nil {
		t.Fatal(err)
	}
	stored, err := r.Forwarding(t.Context(), "")
	if err != nil || len(stored.Settings.Secrets) != 1 {
		t.Fatalf("Forwarding = %v, %v", stored, err)
	}
	backup := filepath.Join(t.TempDir(), "copy.db")
	if err := r.store.Backup(t.Context(), backup); err != nil {
		t.Fatal(err)
	}
	disk, err := os.ReadFile(backup)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(disk), url) {
		t.Fatal("looked at the wrong file")
	}
	for what, secret := range map[string]string{
		"key": key, "key's random part": key[4:47], "header value": f.HeaderValue,
		"signing secret": stored.Settings.Secrets[0], "signing secret without prefix": strings.TrimPrefix(stored.Settings.Secrets[0], "whsec_"),
	} {
		if strings.Contains(string(disk), secret) {
			t.Errorf("the %s lies on the disk in clear", what)
		}
	}
}

func FuzzAuthenticate(f *testing.F) {
	r := newRoom(f, deployment.Config{Default: true})
	valid, err := r.IssueKey(context.Background(), deployment.KeyRequest{})
	if err != nil {
		f.Fatal(err)
	}
	for _, seed := range []string{"", "itk_", valid[:52], valid + "0", strings.ToUpper(valid), "\x00" + valid, strings.Repeat("é", 40)} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, key string) {
		if key == valid {
			return
		}
		if e, err := r.Authenticate(t.Context(), key); !errors.Is(err, deployment.ErrBadKey) || e.ID != "" {
			t.Errorf("Authenticate(%q) = %+v, %v", key, e, err)
		}
	})
}

// A key of a config file is replaced there: elsewhere, the next start would
// bring back what was replaced.
func TestManagedKey(t *testing.T) {
	t.Parallel()
	r := newRoom(t, deployment.Config{Default: true})
	ctx := t.Context()
	own, next := "4f1c9e2ab7d05386"+"a9b8c7d6e5f40312", "04f1c9e2ab7d0538"+"6a9b8c7d6e5f4031"
	if _, err := r.IssueKey(ctx, deployment.KeyRequest{Managed: true}); err == nil {
		t.Error("Managed without a Key was taken")
	}
	for _, key := range []string{own, own, next} { // as at every start; then the file was edited
		if _, err := r.IssueKey(ctx, deployment.KeyRequest{Key: key, Managed: true}); err != nil {
			t.Fatal(err)
		}
		if _, err := r.IssueKey(ctx, deployment.KeyRequest{Grace: time.Hour}); !errors.Is(err, deployment.ErrManaged) {
			t.Errorf("replaced elsewhere: %v", err)
		}
		if _, err := r.Authenticate(ctx, key); err != nil {
			t.Errorf("the key of the file: %v", err)
		}
	}
	if _, err := r.Authenticate(ctx, own); !errors.Is(err, deployment.ErrBadKey) {
		t.Errorf("the key before: %v", err)
	}
	d, err := r.Ensure(ctx, deployment.Spec{Organization: "Acme"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := r.IssueKey(ctx, deployment.KeyRequest{Environment: d.Environments[0].ID}); err != nil {
		t.Errorf("another environment: %v", err)
	}
}
