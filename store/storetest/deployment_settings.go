package storetest

import (
	"bytes"
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/interactorhq/interactor/deployment"
)

func put(t *testing.T, s Deployments, owner, public string, watches bool) {
	t.Helper()
	f, err := s.OwnForwarding(t.Context(), owner)
	if err != nil {
		t.Fatal(err)
	}
	f.Public, f.Sealed = []byte(public), []byte("sealed "+public)
	if public == "" {
		f.Public = nil
	}
	if err := s.PutForwarding(t.Context(), f, watches, epoch()); err != nil {
		t.Fatalf("PutForwarding(%s): %v", owner, err)
	}
}

func inForce(t *testing.T, s Deployments) {
	d := mustEnsure(t, s, "Acme", "CRM", "Development", "Production")
	env := d.Environments[1].ID
	for _, step := range []struct{ owner, public, wantOwner, want string }{
		{d.ID, "", d.ID, ""},
		{d.ID, "all", d.ID, "all"},
		{d.Environments[0].ID, "dev", d.ID, "all"},
		{env, "own", env, "own"},
		{d.ID, "all again", env, "own"},
		{env, "", d.ID, "all again"},
		{d.ID, "", d.ID, ""},
	} {
		put(t, s, step.owner, step.public, false)
		f, err := s.ForwardingInForce(t.Context(), env)
		if err != nil || string(f.Public) != step.want || f.Owner != step.wantOwner || (f.Revision == 0) != (step.want == "") {
			t.Errorf("after %s = %q: %+v (%s), %v, want %q of %s", step.owner, step.public, f, f.Public, err, step.want, step.wantOwner)
		}
		if step.want != "" && !bytes.Equal(f.Sealed, []byte("sealed "+step.want)) {
			t.Errorf("after %s = %q: sealed is %q", step.owner, step.public, f.Sealed)
		}
	}
}

func conflicts(t *testing.T, s Deployments) {
	d := mustEnsure(t, s, "Acme", "CRM", "Production")
	before, err := s.OwnForwarding(t.Context(), d.ID)
	if err != nil {
		t.Fatal(err)
	}
	put(t, s, d.ID, "one", false)
	stale := before
	stale.Public, stale.Sealed = []byte("stale"), []byte("x")
	if err := s.PutForwarding(t.Context(), stale, true, epoch()); !errors.Is(err, deployment.ErrConflict) {
		t.Errorf("creating what was created meanwhile: %v, want ErrConflict", err)
	}
	one, err := s.OwnForwarding(t.Context(), d.ID)
	if err != nil {
		t.Fatal(err)
	}
	put(t, s, d.ID, "two", false)
	one.Public = nil
	if err := s.PutForwarding(t.Context(), one, true, epoch()); !errors.Is(err, deployment.ErrConflict) {
		t.Errorf("removing what was changed meanwhile: %v, want ErrConflict", err)
	}
	f, err := s.OwnForwarding(t.Context(), d.ID)
	if err != nil || string(f.Public) != "two" {
		t.Errorf("a refused write left %q, %v, want \"two\"", f.Public, err)
	}
}

func raceForSettings(t *testing.T, s Deployments) {
	d := mustEnsure(t, s, "Acme", "CRM", "Production")
	put(t, s, d.ID, "start", false)
	f, err := s.OwnForwarding(t.Context(), d.ID)
	if err != nil {
		t.Fatal(err)
	}
	var won atomic.Int32
	var wg sync.WaitGroup
	for range 16 {
		wg.Go(func() {
			err := s.PutForwarding(t.Context(), f, false, epoch())
			switch {
			case err == nil:
				won.Add(1)
			case !errors.Is(err, deployment.ErrConflict):
				t.Errorf("PutForwarding: %v", err)
			}
		})
	}
	wg.Wait()
	if won.Load() != 1 {
		t.Errorf("%d of 16 writers with the same revision won, want 1", won.Load())
	}
}

func revisions(t *testing.T, s Deployments) {
	d := mustEnsure(t, s, "Acme", "CRM", "Production")
	seen := map[int64]bool{}
	for _, public := range []string{"a", "b", "", "a", "", "c"} {
		put(t, s, d.ID, public, false)
		f, err := s.OwnForwarding(t.Context(), d.ID)
		if err != nil {
			t.Fatal(err)
		}
		if public == "" {
			if f.Revision != 0 {
				t.Errorf("revision without settings is %d, want 0", f.Revision)
			}
			continue
		}
		if seen[f.Revision] || f.Revision == 0 {
			t.Errorf("revision %d was used before", f.Revision)
		}
		seen[f.Revision] = true
	}
}

func managed(t *testing.T, s Deployments) {
	d := mustEnsure(t, s, "Acme", "CRM", "Production")
	env := d.Environments[0].ID
	for _, want := range []bool{true, false, true} {
		f, err := s.OwnForwarding(t.Context(), d.ID)
		if err != nil {
			t.Fatal(err)
		}
		f.Public, f.Sealed, f.Managed = []byte("x"), []byte("y"), want
		if err := s.PutForwarding(t.Context(), f, false, epoch()); err != nil {
			t.Fatal(err)
		}
		own, err1 := s.OwnForwarding(t.Context(), env)
		force, err2 := s.ForwardingInForce(t.Context(), env)
		if err := errors.Join(err1, err2); err != nil || own.Managed != want || force.Managed != want {
			t.Errorf("environment says managed %v and %v (%v), want %v", own.Managed, force.Managed, err, want)
		}
		// What an environment writes changes nothing about it.
		own.Public, own.Sealed, own.Managed = []byte("own"), []byte("y"), !want
		if err := s.PutForwarding(t.Context(), own, false, epoch()); err != nil {
			t.Fatal(err)
		}
		if f, err := s.ForwardingInForce(t.Context(), env); err != nil || f.Managed != want || string(f.Public) != "own" {
			t.Errorf("with own settings: managed %v, %q, %v, want %v", f.Managed, f.Public, err, want)
		}
		put(t, s, env, "", false)
	}
}

func versions(t *testing.T, s Deployments) {
	d := mustEnsure(t, s, "Acme", "CRM", "Development", "Production")
	last := int64(-1)
	check := func(after string) {
		t.Helper()
		v, err := s.ForwardingVersion(t.Context())
		if err != nil || v == last {
			t.Errorf("version after %s is %d as before, %v", after, v, err)
		}
		last = v
	}
	check("the beginning")
	put(t, s, d.ID, "a", false)
	check("settings of a deployment")
	put(t, s, d.Environments[0].ID, "b", true)
	check("settings of an environment")
	put(t, s, d.Environments[0].ID, "", false)
	check("their removal")
	o, n := newDeployment("Acme", "Shop", epoch(), "Production")
	if _, err := s.EnsureDeployment(t.Context(), o, n, []deployment.StoredForwarding{{Owner: n.ID, Public: []byte("x"), Sealed: []byte("y")}}); err != nil {
		t.Fatal(err)
	}
	check("a new deployment")
	if _, err := s.MarkDeleted(t.Context(), d.Environments[1].ID, epoch()); err != nil {
		t.Fatal(err)
	}
	check("a deletion")
}

func marks(t *testing.T, s Deployments) {
	d := mustEnsure(t, s, "Acme", "CRM", "Development", "Production")
	other := mustEnsure(t, s, "Other", "CRM", "Production")
	dev, prod := d.Environments[0].ID, d.Environments[1].ID
	a, b, c := s.Connect(t, dev), s.Connect(t, prod), s.Connect(t, prod)
	s.Connect(t, other.Environments[0].ID)
	s.Dirty(t)
	for _, step := range []struct {
		owner, public string
		watches       bool
		want          []string
	}{
		{d.ID, "all", true, []string{a, b, c}},
		{d.ID, "all, not its triggers", false, nil},
		{dev, "own", true, []string{a}},
		{d.ID, "all again", true, []string{b, c}}, // dev has its own
		{dev, "", true, []string{a}},
		{d.ID, "", true, []string{a, b, c}},
	} {
		put(t, s, step.owner, step.public, step.watches)
		slices.Sort(step.want)
		if got := s.Dirty(t); !slices.Equal(got, step.want) {
			t.Errorf("after %s = %q: marked %v, want %v", step.owner, step.public, got, step.want)
		}
	}
	// A refused write marks nobody.
	stale := deployment.StoredForwarding{Owner: d.ID, Public: []byte("x"), Sealed: []byte("y"), Revision: 1 << 40}
	if err := s.PutForwarding(t.Context(), stale, true, epoch()); !errors.Is(err, deployment.ErrConflict) {
		t.Errorf("PutForwarding = %v, want ErrConflict", err)
	}
	if got := s.Dirty(t); len(got) != 0 {
		t.Errorf("a refused write marked %v", got)
	}
}

func deletion(t *testing.T, s Deployments) {
	ctx := t.Context()
	d := mustEnsure(t, s, "Acme", "CRM", "Development", "Production")
	dev, prod := d.Environments[0].ID, d.Environments[1].ID
	put(t, s, d.ID, "all", false)
	put(t, s, dev, "own", false)
	for env, key := range map[string]string{dev: "dev", prod: "prod"} {
		if err := s.PutKey(ctx, deployment.Key{Environment: env, Hash: hash(key), IssuedAt: epoch()}, time.Time{}); err != nil {
			t.Fatal(err)
		}
	}
	a, b := s.Connect(t, dev), s.Connect(t, prod)
	s.Dirty(t)

	gone, err := s.MarkDeleted(ctx, dev, epoch())
	if err != nil || !slices.Equal(gone, []string{dev}) {
		t.Fatalf("MarkDeleted(%s) = %v, %v", dev, gone, err)
	}
	if got := s.Dirty(t); !slices.Equal(got, []string{a}) {
		t.Errorf("marked %v, want %s", got, a)
	}
	_, _, err1 := s.EnvironmentByKey(ctx, hash("dev"))
	_, err2 := s.ForwardingInForce(ctx, dev)
	_, err3 := s.DeploymentByID(ctx, dev)
	_, err4 := s.MarkDeleted(ctx, dev, epoch())
	for i, err := range []error{err1, err2, err3, err4} {
		if !errors.Is(err, deployment.ErrNotFound) {
			t.Errorf("deleted environment, method %d: %v, want ErrNotFound", i+1, err)
		}
	}
	if got, err := s.DeploymentByID(ctx, d.ID); err != nil || !slices.Equal(environmentNames(got), []string{"Production"}) {
		t.Errorf("deployment after the deletion: %+v, %v", got, err)
	}
	if _, _, err := s.EnvironmentByKey(ctx, hash("prod")); err != nil {
		t.Errorf("the other environment's key: %v", err)
	}

	// Nothing is left of the key: it may be somebody else's now.
	other := mustEnsure(t, s, "Other", "CRM", "Production").Environments[0].ID
	if err := s.PutKey(ctx, deployment.Key{Environment: other, Hash: hash("dev"), IssuedAt: epoch()}, time.Time{}); err != nil {
		t.Errorf("the key of a deleted environment for another one: %v", err)
	}
	if _, err := s.MarkDeleted(ctx, other, epoch()); err != nil {
		t.Fatal(err)
	}
	if err := s.EraseEnvironment(ctx, other); err != nil {
		t.Fatal(err)
	}
	if _, err := s.MarkDeleted(ctx, mustEnsure(t, s, "Other", "CRM").Organization, epoch()); err != nil {
		t.Fatal(err)
	}

	gone, err = s.MarkDeleted(ctx, d.Organization, epoch())
	if err != nil || !slices.Equal(gone, []string{prod}) {
		t.Fatalf("MarkDeleted(%s) = %v, %v", d.Organization, gone, err)
	}
	if got := s.Dirty(t); !slices.Equal(got, []string{b}) {
		t.Errorf("marked %v, want %s", got, b)
	}
	_, _, err1 = s.EnvironmentByKey(ctx, hash("prod"))
	_, err2 = s.OwnForwarding(ctx, d.ID)
	_, err3 = s.DeploymentByName(ctx, "Acme", "CRM")
	for i, err := range []error{err1, err2, err3} {
		if !errors.Is(err, deployment.ErrNotFound) {
			t.Errorf("deleted organization, method %d: %v, want ErrNotFound", i+1, err)
		}
	}
	if list, err := s.OrganizationsAfter(ctx, deployment.Organization{}, 10); err != nil || len(list) != 0 {
		t.Errorf("organizations after the deletion: %v, %v", list, err)
	}
	if list, err := s.DeploymentsAfter(ctx, "", deployment.Deployment{}, 10); err != nil || len(list) != 0 {
		t.Errorf("deployments after the deletion: %v, %v", list, err)
	}
	want := []string{dev, prod}
	slices.Sort(want)
	if got := waiting(t, s); !slices.Equal(got, want) {
		t.Errorf("DeletedEnvironments = %v, want %v", got, want)
	}
	if err := s.EraseEnvironment(ctx, dev); err != nil {
		t.Fatal(err)
	}
	if got := waiting(t, s); !slices.Equal(got, []string{prod}) {
		t.Errorf("DeletedEnvironments = %v, want %s", got, prod)
	}
}

func waiting(t *testing.T, s Deployments) (ids []string) {
	t.Helper()
	for after := ""; ; {
		page, err := s.DeletedEnvironments(t.Context(), after, 1)
		if err != nil {
			t.Fatal(err)
		}
		if len(page) == 0 {
			return ids
		}
		ids, after = append(ids, page...), page[0]
	}
}

// pruning looks from outside: an id that is used again is refused while what had
// it is being cleaned up, and free when it is gone.
func pruning(t *testing.T, s Deployments) {
	ctx := t.Context()
	o, d := newDeployment("Acme", "CRM", epoch(), "Production")
	ensure := func() error {
		_, err := s.EnsureDeployment(ctx, o, d, nil)
		return err
	}
	if err := ensure(); err != nil {
		t.Fatal(err)
	}
	env := d.Environments[0].ID
	if _, err := s.MarkDeleted(ctx, o.ID, epoch()); err != nil {
		t.Fatal(err)
	}
	if err := ensure(); !errors.Is(err, deployment.ErrExists) {
		t.Errorf("ensuring an id that is being cleaned up: %v, want ErrExists", err)
	}
	if err := s.EraseEnvironment(ctx, env); err != nil {
		t.Fatal(err)
	}
	if err := ensure(); err != nil {
		t.Errorf("ensuring after all was erased: %v", err)
	}
	if err := s.EraseEnvironment(ctx, env); err != nil {
		t.Fatal(err)
	}
	if _, err := s.DeploymentByID(ctx, env); err != nil {
		t.Errorf("EraseEnvironment of one that is not marked: %v afterwards", err)
	}
	// The environment first, then its parents, which have nothing below them.
	if _, err := s.MarkDeleted(ctx, env, epoch()); err != nil {
		t.Fatal(err)
	}
	if err := s.EraseEnvironment(ctx, env); err != nil {
		t.Fatal(err)
	}
	if gone, err := s.MarkDeleted(ctx, o.ID, epoch()); err != nil || len(gone) != 0 {
		t.Errorf("MarkDeleted of what is empty = %v, %v", gone, err)
	}
	if err := ensure(); err != nil {
		t.Errorf("ensuring after an empty organization was deleted: %v", err)
	}
}
