package gmail_test

import (
	"encoding/json"
	"fmt"

	"github.com/interactorhq/interactor/connector/gmail"
	"github.com/interactorhq/interactor/trigger"
)

func ExampleNew() {
	// Without a topic the mailboxes are polled; with one, Google pushes.
	for _, topic := range []string{"", "projects/acme/topics/gmail"} {
		c := gmail.New(gmail.Config{
			ClientID: "….apps.googleusercontent.com", ClientSecret: "GOCSPX-…",
			Topic: topic, PushServiceAccount: "push@acme.iam.gserviceaccount.com",
		})
		fmt.Println(c.Describe().Watches[0].Poll)
	}
	// Output:
	// 1m0s
	// 6h0m0s
}

func ExampleEmail() {
	event := trigger.Event{
		Trigger: gmail.EmailSent,
		Payload: json.RawMessage(`{"id":"19ab3c5d7e9f0a1b","subject":"Lunch?","from":{"name":"Alice","email":"alice@example.com"},"labels":["SENT"]}`),
	}
	mail, err := trigger.Decode[gmail.Email](event)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(mail.From.Name, "wrote", mail.Subject)
	// Output: Alice wrote Lunch?
}
