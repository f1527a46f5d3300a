package api

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/interactorhq/interactor/auth"
	"github.com/interactorhq/interactor/connector"
	"github.com/interactorhq/interactor/deployment"
	"github.com/interactorhq/interactor/forward"
)

// Codes of errors. They never change.
const (
	CodeMissingParameter    = "missing_parameter"
	CodeInvalidParameter    = "invalid_parameter"
	CodeInvalidBody         = "invalid_body"
	CodeRedirectNotAllowed  = "redirect_not_allowed"
	CodeInvalidAPIKey       = "invalid_api_key"
	CodeUnknownConnector    = "unknown_connector"
	CodeUnknownTrigger      = "unknown_trigger"
	CodeNotFound            = "not_found"
	CodeMethodNotAllowed    = "method_not_allowed"
	CodeManaged             = "managed"
	CodeNoApp               = "no_app"
	CodeIdempotencyConflict = "idempotency_conflict"
	CodeTooManyReplays      = "too_many_replays"
	CodeBodyTooLarge        = "body_too_large"
	CodeInternal            = "internal"
	CodeProviderUnavailable = "provider_unavailable"
	CodeStoreUnavailable    = "store_unavailable"
)

// failure is an answer that is an error.
type failure struct {
	status int
	body   Error
	header http.Header
}

func (f *failure) Error() string { return f.body.Message }

func fail(status int, code, field, format string, args ...any) *failure {
	return &failure{status: status, body: Error{Message: fmt.Sprintf(format, args...), Code: code, Field: field}}
}

func missing(field, advice string) *failure {
	return fail(http.StatusBadRequest, CodeMissingParameter, field, "%s is missing: %s", field, advice)
}

func invalid(field, format string, args ...any) *failure {
	return fail(http.StatusBadRequest, CodeInvalidParameter, field, field+" "+format, args...)
}

func badBody(field, format string, args ...any) *failure {
	return fail(http.StatusBadRequest, CodeInvalidBody, field, format, args...)
}

// unauthorized is the same for a missing, a wrong and a replaced key: which of
// them it is would help nobody but who guesses.
func unauthorized() *failure {
	f := fail(http.StatusUnauthorized, CodeInvalidAPIKey, "", "API key is missing, unknown or replaced: send the current one in the x-api-key header")
	f.header = http.Header{"Www-Authenticate": {"x-api-key"}}
	return f
}

func notFound(what, id string) *failure {
	return fail(http.StatusNotFound, CodeNotFound, "", "there is no %s %.64q in this environment", what, id)
}

func unknownConnector(name string) *failure {
	return fail(http.StatusNotFound, CodeUnknownConnector, "connector", "there is no connector %.64q: GET /connectors lists them", name)
}

// translate turns what the rooms return into answers. What it does not know is
// returned as it is: an internal error.
func translate(err error) error {
	var (
		settings *deployment.InvalidError
		request  *auth.RequestError
		replay   *forward.QueryError
		input    *auth.InputError
		params   *auth.ParamsError
		retry    *connector.RetryError
	)
	switch {
	case errors.As(err, &settings):
		return refused(settings)
	case errors.As(err, &request):
		return invalid(request.Field, "%s", request.Problem)
	case errors.As(err, &replay):
		return badBody(replay.Field, "%s %s", replay.Field, replay.Problem)
	case errors.Is(err, forward.ErrTooManyReplays):
		return fail(http.StatusConflict, CodeTooManyReplays, "", "%s", bare(err))
	case errors.As(err, &params):
		return badBody("params", "%s", strings.ReplaceAll(params.Err.Error(), "\n", "; "))
	case errors.As(err, &input):
		return refusedInput(input)
	case errors.Is(err, auth.ErrRedirect):
		return fail(http.StatusBadRequest, CodeRedirectNotAllowed, "redirectUrl", "%s", bare(err))
	case errors.Is(err, auth.ErrUnknownConnector):
		return fail(http.StatusNotFound, CodeUnknownConnector, "connector", "there is no such connector: GET /connectors lists them")
	case errors.Is(err, auth.ErrNoApp):
		return fail(http.StatusConflict, CodeNoApp, "", "neither the connector nor the environment has a client id: register an App at the provider and set it with PUT /apps/{connector}")
	case errors.Is(err, forward.ErrUnknownTrigger):
		return fail(http.StatusNotFound, CodeUnknownTrigger, "trigger", "there is no such trigger: GET /connectors/{connector} lists those of a connector")
	case errors.Is(err, forward.ErrStoreFull):
		f := fail(http.StatusServiceUnavailable, CodeStoreUnavailable, "", "the store is full and takes no new events: try again later")
		f.header = http.Header{"Retry-After": {"60"}}
		return f
	case errors.Is(err, deployment.ErrManaged):
		return fail(http.StatusConflict, CodeManaged, "", "%s", bare(err))
	case errors.Is(err, auth.ErrNotFound), errors.Is(err, forward.ErrNotFound), errors.Is(err, deployment.ErrNotFound):
		return fail(http.StatusNotFound, CodeNotFound, "", "there is no such record in this environment")
	case errors.Is(err, connector.ErrRevoked), errors.Is(err, connector.ErrScope), errors.Is(err, connector.ErrRefused):
		return badBody("input", "the provider refuses these credentials: check them there and try again")
	case errors.As(err, &retry):
		f := fail(http.StatusBadGateway, CodeProviderUnavailable, "", "the provider does not answer as it should: try again later")
		f.header = http.Header{"Retry-After": {fmt.Sprint(max(1, int(retry.After.Seconds())))}}
		return f
	}
	return err
}

// refused names the first member; the message says all that is wrong.
func refused(err *deployment.InvalidError) *failure {
	var problems forward.Problems
	field := ""
	if errors.As(err, &problems) && len(problems) > 0 {
		field = problems[0].Field
	}
	return badBody(field, "%s", strings.ReplaceAll(err.Error(), "\n", "; "))
}

func refusedInput(err *auth.InputError) *failure {
	f := badBody("", "%s", bare(err))
	switch {
	case len(err.Missing) > 0:
		f.body.Code, f.body.Field = CodeMissingParameter, err.Missing[0]
	case len(err.Invalid) > 0:
		names := make([]string, 0, len(err.Invalid))
		for name := range err.Invalid {
			names = append(names, name)
		}
		f.body.Code, f.body.Field = CodeInvalidParameter, slices.Min(names)
	}
	return f
}

// bare is the message without the name of the room, which tells nothing to those
// who do not read Go.
func bare(err error) string {
	text := err.Error()
	for _, room := range []string{"auth: ", "deployment: ", "forward: ", "connector: "} {
		text = strings.TrimPrefix(text, room)
	}
	return text
}

// canceled reports whether the client has gone, who then gets no answer anyway.
func canceled(ctx context.Context, err error) bool {
	return ctx.Err() != nil && (errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded))
}
