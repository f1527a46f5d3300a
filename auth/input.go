package auth

import (
	"slices"
	"strings"

	"github.com/interactorhq/interactor/connector"
)

// checkInput checks what was entered against the Fields that ask for it and
// returns it with the defaults. Its error is an [*InputError].
func checkInput(connectorName string, fields []connector.Field, entered map[string]string) (map[string]string, error) {
	bad := &InputError{Connector: connectorName, Invalid: make(map[string]string)}
	values := make(map[string]string, len(fields))
	for _, f := range fields {
		v := or(entered[f.Name], f.Default)
		if v == "" && !f.Optional {
			bad.Missing = append(bad.Missing, f.Name)
		} else if err := f.Check(v); err != nil {
			bad.Invalid[f.Name] = err.Error()
		} else if v != "" {
			values[f.Name] = v
		}
	}
	for name := range entered {
		if !slices.ContainsFunc(fields, func(f connector.Field) bool { return f.Name == name }) {
			bad.Invalid[name] = name + " is unknown: " + fieldNames(fields)
		}
	}
	if len(bad.Missing) > 0 || len(bad.Invalid) > 0 {
		return values, bad
	}
	return values, nil
}

func fieldNames(fields []connector.Field) string {
	if len(fields) == 0 {
		return "it has no fields"
	}
	names := make([]string, len(fields))
	for i, f := range fields {
		names[i] = f.Name
	}
	return "it has " + strings.Join(names, ", ")
}

// split parts what was entered into what may be seen and what is sealed.
func split(fields []connector.Field, entered map[string]string) (values, secrets map[string]string) {
	values, secrets = make(map[string]string), make(map[string]string)
	for name, v := range entered {
		if slices.ContainsFunc(fields, func(f connector.Field) bool { return f.Name == name && f.Secret }) {
			secrets[name] = v
		} else {
			values[name] = v
		}
	}
	return values, secrets
}
