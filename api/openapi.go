package api

import (
	"bytes"
	_ "embed"
	"encoding/json"
	"net/http"
	"slices"
)

//go:embed openapi.json
var document []byte

// OpenAPI returns the OpenAPI 3.1 document of the API, as JSON. Its server is
// relative: the one that a handler serves names its own address.
func OpenAPI() []byte { return slices.Clone(document) }

// relativeServer is the address in the document, as it stands there.
const relativeServer = `"/api/v1"`

// documentFor is the document with an address in the place of the relative one.
func documentFor(server string) []byte {
	address, err := json.Marshal(server)
	if err != nil { // a text always marshals
		return document
	}
	return bytes.Replace(document, []byte(`"url": `+relativeServer), append([]byte(`"url": `), address...), 1)
}

// openAPI serves GET /openapi.json.
func (a *api) openAPI(*call) (answer, error) {
	return answer{status: http.StatusOK, body: a.document, header: http.Header{"Cache-Control": {"max-age=300"}}}, nil
}
