package storetest

import (
	"bytes"
	"errors"
	"testing"
	"time"

	"github.com/interactorhq/interactor/deployment"
)

func keys(t *testing.T, s Deployments) {
	ctx := t.Context()
	d := mustEnsure(t, s, "Acme", "CRM", "Development", "Production")
	env := d.Environments[1].ID
	now := epoch()
	if e, err := s.DeploymentByID(ctx, env); err != nil || !e.Environments[1].KeyIssuedAt.IsZero() {
		t.Errorf("without a key: %+v, %v", e, err)
	}
	issue := func(key string, oldUntil time.Time) {
		t.Helper()
		now = now.Add(time.Minute)
		if err := s.PutKey(ctx, deployment.Key{Environment: env, Hash: hash(key), IssuedAt: now}, oldUntil); err != nil {
			t.Fatalf("PutKey(%s): %v", key, err)
		}
	}
	valid := func(key string) bool {
		t.Helper()
		e, k, err := s.EnvironmentByKey(ctx, hash(key))
		switch {
		case errors.Is(err, deployment.ErrNotFound):
			return false
		case err != nil || e.ID != env || k.Environment != env || !bytes.Equal(k.Hash, hash(key)) || e.Name != "Production" || e.Deployment != d.ID:
			t.Errorf("EnvironmentByKey(%s) = %+v, %+v, %v", key, e, k, err)
		}
		return k.Until.IsZero() || now.Before(k.Until)
	}
	want := func(current string, until map[string]time.Time, gone ...string) {
		t.Helper()
		if e, k, err := s.EnvironmentByKey(ctx, hash(current)); err != nil || !k.Until.IsZero() || !e.KeyIssuedAt.Equal(now) || !k.IssuedAt.Equal(now) {
			t.Errorf("current key: %+v %+v, %v", e, k, err)
		}
		for key, end := range until {
			if _, k, err := s.EnvironmentByKey(ctx, hash(key)); err != nil || !k.Until.Equal(end) {
				t.Errorf("key %s ends %v, %v, want %v", key, k.Until, err, end)
			}
		}
		for _, key := range gone {
			if valid(key) {
				t.Errorf("key %s is still valid", key)
			}
		}
	}
	issue("one", time.Time{})
	want("one", nil)
	issue("two", time.Time{})
	want("two", nil, "one")
	hour, soon := now.Add(time.Hour), now.Add(10*time.Minute)
	issue("three", hour)
	want("three", map[string]time.Time{"two": hour}, "one")
	issue("four", soon)
	want("four", map[string]time.Time{"two": soon, "three": soon}) // earlier than before
	issue("five", hour)
	want("five", map[string]time.Time{"two": soon, "four": hour}) // not later than before
	issue("three", hour)
	want("three", map[string]time.Time{"five": hour}) // from its grace back to current
	issue("six", time.Time{})
	want("six", nil, "two", "three", "four", "five")
}

func keyTaken(t *testing.T, s Deployments) {
	ctx := t.Context()
	d := mustEnsure(t, s, "Acme", "CRM", "Development", "Production")
	dev, prod := d.Environments[0].ID, d.Environments[1].ID
	if err := s.PutKey(ctx, deployment.Key{Environment: dev, Hash: hash("x"), IssuedAt: epoch()}, time.Time{}); err != nil {
		t.Fatal(err)
	}
	if err := s.PutKey(ctx, deployment.Key{Environment: prod, Hash: hash("y"), IssuedAt: epoch()}, time.Time{}); err != nil {
		t.Fatal(err)
	}
	if err := s.PutKey(ctx, deployment.Key{Environment: prod, Hash: hash("x"), IssuedAt: epoch()}, time.Time{}); !errors.Is(err, deployment.ErrKeyTaken) {
		t.Errorf("PutKey of another environment's key: %v, want ErrKeyTaken", err)
	}
	for env, key := range map[string]string{dev: "x", prod: "y"} {
		if e, k, err := s.EnvironmentByKey(ctx, hash(key)); err != nil || e.ID != env || !k.Until.IsZero() {
			t.Errorf("key %s: %+v %+v, %v", key, e, k, err)
		}
	}
}

func keyAgain(t *testing.T, s Deployments) {
	ctx := t.Context()
	d := mustEnsure(t, s, "Acme", "CRM", "Production")
	env, until := d.Environments[0].ID, epoch().Add(time.Hour)
	for _, k := range []struct {
		key   string
		at    time.Time
		until time.Time
	}{{"old", epoch(), time.Time{}}, {"x", epoch(), until}, {"x", epoch().Add(time.Minute), time.Time{}}} {
		if err := s.PutKey(ctx, deployment.Key{Environment: env, Hash: hash(k.key), IssuedAt: k.at}, k.until); err != nil {
			t.Fatal(err)
		}
	}
	if e, _, err := s.EnvironmentByKey(ctx, hash("x")); err != nil || !e.KeyIssuedAt.Equal(epoch()) {
		t.Errorf("issued at %v, %v, want %v", e.KeyIssuedAt, err, epoch())
	}
	if _, k, err := s.EnvironmentByKey(ctx, hash("old")); err != nil || !k.Until.Equal(until) {
		t.Errorf("the key before ends %v, %v, want %v", k.Until, err, until)
	}
}
