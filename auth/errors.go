package auth

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/interactorhq/interactor/connector"
)

// Errors to branch on.
var (
	ErrNotFound         = errors.New("auth: no such connection")
	ErrAmbiguous        = errors.New("auth: more than one connection matches")
	ErrUnknownConnector = errors.New("auth: unknown connector")
	ErrEnvironment      = errors.New("auth: environment is empty: with MultiTenant every call names one")
	ErrNoApp            = errors.New("auth: no App: neither the connector nor the environment has a client id; set one with SetApp or in the connector's Config")
	ErrRedirect         = errors.New("auth: redirect address is not allowed")
	ErrState            = errors.New("auth: this link is unknown, was used already or has expired")
	ErrRunning          = errors.New("auth: Run is already running")
)

// RequestError says which member of a [ConnectRequest] is missing or wrong.
type RequestError struct {
	Field   string // as in the query of the HTTP API: "account"
	Problem string
}

var _ error = (*RequestError)(nil)

func (e *RequestError) Error() string { return "auth: " + e.Field + " " + e.Problem }

// InputError names the Fields of a connector that are missing or refused.
type InputError struct {
	Connector string
	Missing   []string          // required, without a value
	Invalid   map[string]string // what is wrong, by Field; never holds a secret value
}

var _ error = (*InputError)(nil)

func (e *InputError) Error() string {
	var parts []string
	if len(e.Missing) > 0 {
		parts = append(parts, "input lacks "+strings.Join(e.Missing, ", "))
	}
	for _, name := range slices.Sorted(maps.Keys(e.Invalid)) {
		parts = append(parts, e.Invalid[name])
	}
	return fmt.Sprintf("auth: %s: %s", e.Connector, strings.Join(parts, "; "))
}

// ReconnectError is what calls through a Client return when the provider no longer
// accepts the grant. Send the user to a new Interactor.AuthURL. errors.Is finds
// connector.ErrRevoked in it.
type ReconnectError struct {
	Connection Connection
	Err        error // what the provider said
}

var _ error = (*ReconnectError)(nil)

func (e *ReconnectError) Error() string {
	msg := fmt.Sprintf("auth: account %q must connect %s again (%s): send the user to a new AuthURL",
		e.Connection.Account, e.Connection.Connector, e.Connection.ID)
	if e.Err != nil {
		msg += ": " + e.Err.Error()
	}
	return msg
}

// Unwrap returns what the provider said.
func (e *ReconnectError) Unwrap() error { return e.Err }

// Is reports that a call refused in this way is connector.ErrRevoked for the engine.
func (e *ReconnectError) Is(target error) bool { return target == connector.ErrRevoked }
