package api_test

import (
	"encoding/json"
	"fmt"
	"log"

	"github.com/interactorhq/interactor/api"
)

// The document is for generators of clients, and for people who read.
func ExampleOpenAPI() {
	var document struct {
		OpenAPI string `json:"openapi"`
		Paths   map[string]map[string]struct {
			Summary string `json:"summary"`
		} `json:"paths"`
	}
	if err := json.Unmarshal(api.OpenAPI(), &document); err != nil {
		log.Fatal(err)
	}
	fmt.Println(document.OpenAPI)
	fmt.Println(document.Paths["/events/{id}/replay"]["post"].Summary)
	// Output:
	// 3.1.0
	// Deliver an event again
}
