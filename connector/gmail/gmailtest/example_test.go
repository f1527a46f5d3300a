package gmailtest_test

import (
	"fmt"

	"github.com/interactorhq/interactor/connector/gmail"
	"github.com/interactorhq/interactor/connector/gmail/gmailtest"
)

func ExampleServer() {
	google := gmailtest.NewServer()
	defer google.Close()

	connector := gmail.New(google.Config()) // talks to the stand-in instead of Google
	fmt.Println(connector.Describe().Label)

	google.AddMailbox("alice@example.com")
	google.AddMailbox("bob@example.com")
	ids := google.Send(gmailtest.Mail{From: "alice@example.com", To: []string{"bob@example.com"}, Subject: "Lunch?"})
	fmt.Println(len(ids), "mailboxes have it")
	// Output:
	// Gmail
	// 2 mailboxes have it
}
