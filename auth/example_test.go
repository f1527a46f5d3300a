package auth_test

import (
	"fmt"
	"net/url"

	"github.com/interactorhq/interactor/auth"
	"github.com/interactorhq/interactor/connector"
)

// notes is a connector as data.
type notes struct{}

func (notes) Describe() connector.Description {
	return connector.Description{Name: "notes", Label: "Notes", OAuth: &connector.OAuth{
		Authorize: "https://notes.example.com/oauth/authorize",
		Scopes:    []string{"profile"},
		Token:     connector.Request{URL: "https://notes.example.com/oauth/token"},
	}}
}

// Only the address of the consent page: keep State and Verifier in the user's
// session, and compare State in your callback.
func ExampleURLBuilder() {
	b := auth.URLBuilder{
		Connector:   notes{},
		App:         connector.App{ClientID: "my-client", ClientSecret: "…"},
		RedirectURL: "https://app.example.com/oauth/callback",
	}
	c, err := b.Build()
	if err != nil {
		fmt.Println(err)
		return
	}
	u, _ := url.Parse(c.URL)
	fmt.Println(u.Host, u.Path)
	fmt.Println(u.Query().Get("scope"), u.Query().Get("code_challenge_method"))
	fmt.Println(u.Query().Get("state") == c.State, len(c.Verifier))
	// Output:
	// notes.example.com /oauth/authorize
	// profile S256
	// true 43
}
