package auth

// What tests outside of the package look at.
var (
	ParseAnswer = parseAnswer
	FillURL     = fillURL
	Origin      = origin
	Missing     = missingScopes
	FlightsOf   = func(a *Authorizer) int { a.mu.Lock(); defer a.mu.Unlock(); return len(a.flights) }
)
