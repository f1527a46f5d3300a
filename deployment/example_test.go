package deployment_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"github.com/interactorhq/interactor/deployment"
	"github.com/interactorhq/interactor/forward"
	"github.com/interactorhq/interactor/seal"
	"github.com/interactorhq/interactor/store/sqlite"
	"github.com/interactorhq/interactor/trigger"
)

// A platform makes a deployment for each of its customers, as often as it likes,
// and gives them a key for one of its environments.
func ExampleService_Ensure() {
	ctx := context.Background()
	dir, err := os.MkdirTemp("", "interactor")
	must(err)
	defer os.RemoveAll(dir)
	store, err := sqlite.Open(ctx, sqlite.Config{Path: filepath.Join(dir, "interactor.db")})
	must(err)
	defer store.Close()
	deployments, err := deployment.New(deployment.Config{Store: store, Keeper: seal.Keyring{seal.NewKey()}})
	must(err)

	crm, err := deployments.Ensure(ctx, deployment.Spec{
		Organization: "Acme",
		Deployment:   "CRM",
		Forwarding: forward.Settings{
			URL:      "https://acme.example/events",
			Triggers: trigger.List("gmail.email.sent"),
		},
	})
	must(err)
	production, err := crm.Environment(deployment.Production)
	must(err)
	key, err := deployments.IssueKey(ctx, deployment.KeyRequest{Environment: production.ID})
	must(err)

	who, err := deployments.Authenticate(ctx, key)
	must(err)
	f, err := deployments.Forwarding(ctx, who.ID)
	must(err)
	fmt.Println(who.Name, f.From, f.Settings.URL, len(f.Settings.Secrets))
	// Output: Production deployment https://acme.example/events 1
}

func must(err error) {
	if err != nil {
		panic(err)
	}
}
