package connector_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"time"

	"github.com/interactorhq/interactor/connector"
	"github.com/interactorhq/interactor/connector/signature"
	"github.com/interactorhq/interactor/trigger"
)

// Billing is a whole connector: a product whose webhooks are made by API and
// signed with a key that we give it.
type Billing struct {
	signature.HMAC // Verify
	app            connector.App
}

var (
	_ connector.Verifier   = Billing{}
	_ connector.Decoder    = Billing{}
	_ connector.Identifier = Billing{}
	_ connector.Subscriber = Billing{}
	_ connector.AppSource  = Billing{}
)

// InvoicePaid is the payload of billing.invoice.paid.
type InvoicePaid struct {
	ID     string `json:"id" jsonschema:"id of the invoice"`
	Amount int64  `json:"amount" jsonschema:"in the smallest unit of the currency"`
}

// NewBilling returns the connector with its default App.
func NewBilling(app connector.App) Billing {
	return Billing{HMAC: signature.HMAC{Header: "X-Billing-Signature", Prefix: "sha256="}, app: app}
}

func (b Billing) DefaultApp() (connector.App, bool) { return b.app, b.app.ClientID != "" }

func (b Billing) Describe() connector.Description {
	return connector.Description{
		Name: "billing", Label: "Billing",
		Endpoints: map[string]connector.Template{"api": "https://api.billing.example/v1"},
		OAuth: &connector.OAuth{
			Authorize: "https://billing.example/oauth/authorize",
			Token:     connector.Request{URL: "https://billing.example/oauth/token"},
			Scopes:    []string{"invoices:read", "webhooks:write"},
		},
		Watches: []connector.Watch{{Name: "hook", Intake: connector.AtSubscription, Secret: connector.SecretOurs}},
		Triggers: []trigger.Definition{{
			Name: "billing.invoice.paid", Label: "An Invoice is Paid", Watch: "hook", Topics: []string{"invoice.paid"},
			Payload: InvoicePaid{}, Example: InvoicePaid{ID: "in_1", Amount: 4200},
		}},
	}
}

func (Billing) Decode(in *connector.Inbound) (*connector.Decoded, error) {
	var body struct {
		Event string      `json:"event"`
		At    time.Time   `json:"at"`
		Data  InvoicePaid `json:"data"`
	}
	if err := json.Unmarshal(in.Body, &body); err != nil {
		return nil, err
	}
	if body.Event != "invoice.paid" {
		return &connector.Decoded{}, nil // a ping, or news that nobody asked for
	}
	return &connector.Decoded{Notices: []connector.Notice{{Occurrences: []connector.Occurrence{{
		Trigger: "billing.invoice.paid", Key: body.Data.ID, OccurredAt: body.At, Payload: body.Data, Raw: in.Body,
	}}}}}, nil
}

func (Billing) Identify(ctx context.Context, s *connector.Session) ([]connector.Identity, error) {
	var me struct{ ID, Email string }
	if err := s.JSON(ctx, http.MethodGet, "me", nil, &me); err != nil {
		return nil, err
	}
	return []connector.Identity{{ID: me.ID, Label: me.Email}}, nil
}

func (Billing) Subscribe(ctx context.Context, s *connector.Session, sub *connector.Subscription) (*connector.Held, error) {
	in := map[string]any{"url": sub.Address, "secret": sub.Secret, "events": sub.Topics}
	var hook struct{ ID string }
	if err := s.JSON(ctx, http.MethodPost, "webhooks", in, &hook); err != nil {
		return nil, err
	}
	return &connector.Held{ID: hook.ID}, nil
}

func (Billing) Unsubscribe(ctx context.Context, s *connector.Session, sub *connector.Subscription) error {
	return s.JSON(ctx, http.MethodDelete, "webhooks/"+sub.Held.ID, nil, nil)
}

// A connector is data, a few small methods and an embedded family that verifies.
func Example() {
	registry, err := connector.NewRegistry(NewBilling(connector.App{ClientID: "id", ClientSecret: "secret"}))
	if err != nil {
		fmt.Println(err)
		return
	}
	entry, _ := registry.Lookup("billing")

	decoded, err := entry.Decoder.Decode(&connector.Inbound{
		Body: []byte(`{"event":"invoice.paid","at":"2026-11-23T15:04:05Z","data":{"id":"in_7","amount":900}}`),
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	happened := decoded.Notices[0].Occurrences[0]
	fmt.Println(happened.Trigger, happened.Key, happened.Payload.(InvoicePaid).Amount)
	fmt.Println(string(entry.Example("billing.invoice.paid")))
	fmt.Println(registry.Check(trigger.List("billing.invoice.payed")))
	// Output:
	// billing.invoice.paid in_7 900
	// {"id":"in_1","amount":4200}
	// Triggers[0]: billing has no trigger "billing.invoice.payed"; it has billing.invoice.paid
}
