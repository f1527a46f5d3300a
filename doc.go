// Package interactor connects your users' accounts (Gmail, Jira, Slack, …) and
// forwards what happens there to your server: verified, signed, never lost.
//
//	db, err := sqlite.Open(ctx, sqlite.Config{Path: "interactor.db"})
//	in, err := interactor.New(interactor.Config{
//		PublicURL:   "https://hooks.example.com",
//		Store:       db,
//		SealingKeys: []string{os.Getenv("INTERACTOR_KEY")},
//		Connectors:  []interactor.Connector{gmail.New(gmail.Config{ClientID: id, ClientSecret: secret})},
//		Forwarding: interactor.Forwarding{
//			URL:      "https://app.example.com/events",
//			Triggers: trigger.List(gmail.EmailSent),
//		},
//	})
//	http.Handle("/", in.Handler()) // webhooks, consent, JSON API
//	url, err := in.AuthURL(ctx, interactor.ConnectRequest{Connector: "gmail", Account: "user-42"})
//	err = in.Run(ctx)              // delivers until ctx ends
//
// # Parts
//
// An [Interactor] is four parts, each usable through its field: Auth (accounts
// and tokens), Deployments (tenants, settings, keys), Forwarder (events and
// deliveries), Subscriptions (watches at providers). The Forwarder and
// [github.com/interactorhq/interactor/auth.URLBuilder] also work alone.
//
// # One tenant or many
//
// There is one default deployment, Config.Forwarding is its settings, and every
// Environment field may stay empty. A platform sets Config.MultiTenant, makes
// deployments with Deployments.Ensure and names an environment everywhere.
//
// # In this process instead of over HTTP
//
// Config.OnEvent gets events as a function call, with the same durability and
// retries. [github.com/interactorhq/interactor/trigger.Decode] gives the typed payload.
//
// # Promise
//
// Acknowledged to the provider means on disk. Delivery is at least once; duplicates
// share their id. Every provider request is verified; what cannot be is refused.
package interactor
