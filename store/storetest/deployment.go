package storetest

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/interactorhq/interactor/deployment"
	"github.com/interactorhq/interactor/internal/id"
)

// Deployments is a fresh store for [Deployment], with what other rooms keep in it.
type Deployments struct {
	deployment.Store

	// Connect stores an active Connection in an Environment and returns its id.
	Connect func(t *testing.T, environment string) string

	// Dirty returns the ids of the Connections that are marked, sorted, and takes
	// the marks away.
	Dirty func(t *testing.T) []string
}

// Deployment judges what a store keeps for package deployment.
func Deployment(t *testing.T, open func(t *testing.T) Deployments) {
	t.Helper()
	for _, rule := range []struct {
		words string
		test  func(t *testing.T, s Deployments)
	}{
		{"ensuring twice creates once, and returns what is there", ensureTwice},
		{"a record is found by its id although it was renamed", ensureByID},
		{"many who ensure the same at the same time get the same", ensureTogether},
		{"settings are stored with an owner that is new, and only then", ensureSettings},
		{"a name is unique in its parent, and free again after a deletion", names},
		{"lists are in order of creation and continue behind a record", lists},
		{"what is not there is ErrNotFound, whatever the id looks like", unknown},
		{"an environment's own settings hide its deployment's", inForce},
		{"settings are replaced by who has read them last, else ErrConflict", conflicts},
		{"of many writers with the same revision one wins", raceForSettings},
		{"a revision is never used twice, also after a removal", revisions},
		{"managed belongs to the deployment and is read with its environments", managed},
		{"every change to what is in force changes the version", versions},
		{"a change of watches marks the connections it applies to, and no other", marks},
		{"a deletion takes keys and settings along, marks connections, and is remembered until erased", deletion},
		{"a parent that is deleted goes with the last one below it", pruning},
		{"a key replaces the one before at once, or after its grace", keys},
		{"a key of another environment is not taken over", keyTaken},
		{"the current key issued again changes nothing", keyAgain},
	} {
		t.Run(rule.words, func(t *testing.T) {
			t.Parallel()
			rule.test(t, open(t))
		})
	}
}

// epoch is when these tests begin. Stored times are whole milliseconds in UTC.
func epoch() time.Time { return time.Date(2026, 11, 23, 15, 4, 5, 678_000_000, time.UTC) }

func newDeployment(organization, name string, at time.Time, environments ...string) (deployment.Organization, deployment.Deployment) {
	o := deployment.Organization{ID: id.New("org", at), Name: organization, CreatedAt: at}
	d := deployment.Deployment{ID: id.New("dep", at), Organization: o.ID, Name: name, CreatedAt: at}
	for _, e := range environments {
		d.Environments = append(d.Environments, deployment.Environment{ID: id.New("env", at), Deployment: d.ID, Name: e, CreatedAt: at})
	}
	return o, d
}

func mustEnsure(t *testing.T, s Deployments, organization, name string, environments ...string) deployment.Deployment {
	t.Helper()
	o, d := newDeployment(organization, name, epoch(), environments...)
	got, err := s.EnsureDeployment(t.Context(), o, d, nil)
	if err != nil {
		t.Fatalf("EnsureDeployment: %v", err)
	}
	return got
}

func ensureTwice(t *testing.T, s Deployments) {
	first := mustEnsure(t, s, "Acme", "CRM", "Development", "Production")
	if first.Name != "CRM" || len(first.Environments) != 2 || first.Environments[0].Name != "Development" || first.Environments[1].Name != "Production" {
		t.Fatalf("EnsureDeployment returned %+v", first)
	}
	if !first.CreatedAt.Equal(epoch()) || !first.Environments[0].CreatedAt.Equal(epoch()) || first.CreatedAt.Location() != time.UTC {
		t.Errorf("times are not kept: %+v", first)
	}
	second := mustEnsure(t, s, "Acme", "CRM", "Production", "Testing")
	if second.ID != first.ID || second.Organization != first.Organization {
		t.Errorf("second call made another one: %+v, first was %+v", second, first)
	}
	names := environmentNames(second)
	if !slices.Equal(names, []string{"Development", "Production", "Testing"}) || second.Environments[1].ID != first.Environments[1].ID {
		t.Errorf("environments are %+v, first were %+v", second.Environments, first.Environments)
	}
	for _, by := range []string{first.ID, first.Environments[0].ID} {
		got, err := s.DeploymentByID(t.Context(), by)
		if err != nil || !equalDeployments(got, second) {
			t.Errorf("DeploymentByID(%s) = %+v, %v, want %+v", by, got, err, second)
		}
	}
	got, err := s.DeploymentByName(t.Context(), "Acme", "CRM")
	if err != nil || !equalDeployments(got, second) {
		t.Errorf("DeploymentByName = %+v, %v, want %+v", got, err, second)
	}
	if _, err := s.DeploymentByName(t.Context(), "Acme", "crm"); !errors.Is(err, deployment.ErrNotFound) {
		t.Errorf("DeploymentByName in other letters: %v, want ErrNotFound", err)
	}
}

func environmentNames(d deployment.Deployment) []string {
	var names []string
	for _, e := range d.Environments {
		names = append(names, e.Name)
	}
	return names
}

func equalDeployments(a, b deployment.Deployment) bool {
	return fmt.Sprintf("%+v", a) == fmt.Sprintf("%+v", b)
}

func ensureByID(t *testing.T, s Deployments) {
	o, d := newDeployment("Default", "Default", epoch(), "Production")
	o.ID, d.ID, d.Environments[0].ID = "org_default", "dep_default", "env_default"
	if _, err := s.EnsureDeployment(t.Context(), o, d, nil); err != nil {
		t.Fatal(err)
	}
	for record, name := range map[string]string{"org_default": "Acme", "dep_default": "CRM", "env_default": "Live"} {
		if err := s.SetName(t.Context(), record, name); err != nil {
			t.Fatal(err)
		}
	}
	got, err := s.EnsureDeployment(t.Context(), o, d, nil)
	if err != nil || got.ID != "dep_default" || got.Name != "CRM" || len(got.Environments) != 1 || got.Environments[0].Name != "Live" {
		t.Errorf("EnsureDeployment = %+v, %v", got, err)
	}
}

func ensureTogether(t *testing.T, s Deployments) {
	const many = 16
	got := make([]deployment.Deployment, many)
	errs := make([]error, many)
	var wg sync.WaitGroup
	for i := range many {
		wg.Go(func() {
			o, d := newDeployment("Acme", "CRM", epoch(), "Production")
			got[i], errs[i] = s.EnsureDeployment(t.Context(), o, d, nil)
		})
	}
	wg.Wait()
	for i := range many {
		if errs[i] != nil || !equalDeployments(got[i], got[0]) {
			t.Fatalf("call %d got %+v, %v; call 0 got %+v", i, got[i], errs[i], got[0])
		}
	}
}

func ensureSettings(t *testing.T, s Deployments) {
	o, d := newDeployment("Acme", "CRM", epoch(), "Production")
	first, err := s.EnsureDeployment(t.Context(), o, d, []deployment.StoredForwarding{
		{Owner: d.ID, Public: []byte("one"), Sealed: []byte("sealed"), Managed: true},
		{Owner: d.Environments[0].ID, Public: []byte("own"), Sealed: []byte{0, 1}},
	})
	if err != nil {
		t.Fatal(err)
	}
	for owner, want := range map[string]string{first.ID: "one sealed true", first.Environments[0].ID: "own \x00\x01 true"} {
		f, err := s.OwnForwarding(t.Context(), owner)
		if got := fmt.Sprintf("%s %s %v", f.Public, f.Sealed, f.Managed); err != nil || got != want || f.Revision == 0 || f.Owner != owner {
			t.Errorf("OwnForwarding(%s) = %+v (%q), %v, want %q", owner, f, got, err, want)
		}
	}
	o, again := newDeployment("Acme", "CRM", epoch(), "Production", "Testing")
	if _, err := s.EnsureDeployment(t.Context(), o, again, []deployment.StoredForwarding{
		{Owner: again.ID, Public: []byte("two")},
		{Owner: first.ID, Public: []byte("two")},
		{Owner: again.Environments[0].ID, Public: []byte("two")},
		{Owner: again.Environments[1].ID, Public: []byte("new")},
	}); err != nil {
		t.Fatal(err)
	}
	if f, err := s.OwnForwarding(t.Context(), first.ID); err != nil || string(f.Public) != "one" {
		t.Errorf("settings of a deployment that was there became %q, %v", f.Public, err)
	}
	if f, err := s.OwnForwarding(t.Context(), again.Environments[1].ID); err != nil || string(f.Public) != "new" {
		t.Errorf("settings of the new environment are %q, %v", f.Public, err)
	}
}

func names(t *testing.T, s Deployments) {
	one := mustEnsure(t, s, "Acme", "CRM", "Development", "Production")
	two := mustEnsure(t, s, "Acme", "Shop", "Production")
	other := mustEnsure(t, s, "Other", "CRM", "Production")
	for _, row := range []struct {
		record, name string
		want         error
	}{
		{two.ID, "CRM", deployment.ErrExists},
		{other.Organization, "Acme", deployment.ErrExists},
		{one.Environments[0].ID, "Production", deployment.ErrExists},
		{one.Environments[0].ID, "Development", nil}, // its own
		{other.ID, "Shop", nil},                      // of another organization
		{two.Environments[0].ID, "Development", nil},
	} {
		if err := s.SetName(t.Context(), row.record, row.name); !errors.Is(err, row.want) {
			t.Errorf("SetName(%s, %q) = %v, want %v", row.record, row.name, err, row.want)
		}
	}
	if _, err := s.MarkDeleted(t.Context(), one.ID, epoch()); err != nil {
		t.Fatal(err)
	}
	if err := s.SetName(t.Context(), two.ID, "CRM"); err != nil {
		t.Errorf("the name of a deleted deployment is still taken: %v", err)
	}
	if again := mustEnsure(t, s, "Acme", "CRM"); again.ID != two.ID {
		t.Errorf("CRM is now %s, want %s", again.ID, two.ID)
	}
}

func lists(t *testing.T, s Deployments) {
	var organizations, all []string
	of := make(map[string][]string)
	at := epoch()
	for i := range 7 {
		if i%3 != 0 {
			at = at.Add(time.Millisecond) // some share a time
		}
		o, d := newDeployment(fmt.Sprintf("org %d", i), "a", at, "Production")
		if _, err := s.EnsureDeployment(t.Context(), o, d, nil); err != nil {
			t.Fatal(err)
		}
		organizations, all = append(organizations, o.ID), append(all, d.ID)
		of[o.ID] = []string{d.ID}
	}
	at = at.Add(time.Second)
	_, d := newDeployment("org 2", "b", at, "Production", "Testing")
	o := deployment.Organization{ID: id.New("org", at), Name: "org 2", CreatedAt: at}
	if _, err := s.EnsureDeployment(t.Context(), o, d, nil); err != nil {
		t.Fatal(err)
	}
	all = append(all, d.ID)
	of[organizations[2]] = append(of[organizations[2]], d.ID)

	var gotOrganizations []string
	for after := (deployment.Organization{}); ; {
		page, err := s.OrganizationsAfter(t.Context(), after, 3)
		if err != nil {
			t.Fatal(err)
		}
		for _, o := range page {
			gotOrganizations, after = append(gotOrganizations, o.ID), o
		}
		if len(page) < 3 {
			break
		}
	}
	if !slices.Equal(gotOrganizations, organizations) {
		t.Errorf("organizations are %v, want %v", gotOrganizations, organizations)
	}
	of[""] = all
	for organization, want := range of {
		if got := deploymentsOf(t, s, organization); !slices.Equal(got, want) {
			t.Errorf("deployments of %q are %v, want %v", organization, got, want)
		}
	}
}

// deploymentsOf lists the ids of an Organization's Deployments, page by page.
func deploymentsOf(t *testing.T, s Deployments, organization string) (ids []string) {
	t.Helper()
	for after := (deployment.Deployment{}); ; {
		page, err := s.DeploymentsAfter(t.Context(), organization, after, 3)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range page {
			if len(d.Environments) == 0 {
				t.Errorf("%s is listed without environments", d.ID)
			}
			ids, after = append(ids, d.ID), d
		}
		if len(page) < 3 {
			return ids
		}
	}
}

func unknown(t *testing.T, s Deployments) {
	ctx := t.Context()
	mustEnsure(t, s, "Acme", "CRM", "Production")
	for _, record := range []string{"", "env_", "dep_default", "env_default", "org_default", "conn_1", "' OR 1=1 --", id.New("env", epoch()), id.New("dep", epoch())} {
		_, err1 := s.DeploymentByID(ctx, record)
		_, err2 := s.OwnForwarding(ctx, record)
		_, err3 := s.ForwardingInForce(ctx, record)
		_, err4 := s.MarkDeleted(ctx, record, epoch())
		err5 := s.SetName(ctx, record, "x")
		err6 := s.PutForwarding(ctx, deployment.StoredForwarding{Owner: record, Public: []byte("x"), Sealed: []byte("y")}, true, epoch())
		err7 := s.PutKey(ctx, deployment.Key{Environment: record, Hash: hash("x"), IssuedAt: epoch()}, time.Time{})
		for i, err := range []error{err1, err2, err3, err4, err5, err6, err7} {
			if !errors.Is(err, deployment.ErrNotFound) {
				t.Errorf("%q, method %d: %v, want ErrNotFound", record, i+1, err)
			}
		}
		if err := s.EraseEnvironment(ctx, record); err != nil {
			t.Errorf("EraseEnvironment(%q) = %v", record, err)
		}
	}
	if _, _, err := s.EnvironmentByKey(ctx, hash("nobody's")); !errors.Is(err, deployment.ErrNotFound) {
		t.Errorf("EnvironmentByKey of an unknown one: %v, want ErrNotFound", err)
	}
}

func hash(key string) []byte {
	sum := sha256.Sum256([]byte(key))
	return sum[:]
}
