package trigger_test

import (
	"encoding/json"
	"errors"
	"fmt"

	"github.com/interactorhq/interactor/trigger"
)

// Email stands for a connector's payload type.
type Email struct {
	Subject string `json:"subject"`
}

// Triggers says which triggers have this payload.
func (Email) Triggers() []string { return []string{"gmail.email.sent", "gmail.email.received"} }

func ExampleDecode() {
	var ev trigger.Event
	err := json.Unmarshal([]byte(`{"type":"gmail.email.sent","timestamp":"2026-11-23T15:04:05Z",
		"data":{"event":"evt_1","account":"user-42","payload":{"subject":"Lunch on Friday?"}}}`), &ev)
	if err != nil {
		fmt.Println(err)
	}
	mail, err := trigger.Decode[Email](ev)
	fmt.Println(ev.Account, mail.Subject, err)

	ev.Trigger = "jira.issue.created"
	_, err = trigger.Decode[Email](ev)
	fmt.Println(errors.Is(err, trigger.ErrPayload))
	// Output:
	// user-42 Lunch on Friday? <nil>
	// true
}

func ExampleList() {
	for _, f := range trigger.List("gmail.email.sent", "github.*") {
		fmt.Println(f.Trigger, f.Covers("github.push"))
	}
	// Output:
	// gmail.email.sent false
	// github.* true
}

func ExampleFilter_Match() {
	invoices := trigger.Filter{Trigger: "gmail.email.labeled", Params: map[string]string{"label": "Invoices"}}
	fmt.Println(invoices.Match("gmail.email.labeled", map[string][]string{"label": {"INBOX", "Invoices"}}))
	fmt.Println(invoices.Match("gmail.email.labeled", nil))
	// Output:
	// true
	// false
}
