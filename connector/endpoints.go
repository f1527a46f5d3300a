package connector

import "maps"

// Endpoints replaces the addresses of a product, for one that is hosted
// elsewhere and for tests. What is empty stays as the connector has it.
type Endpoints struct {
	Authorize string `json:"authorize,omitempty"` // of the consent page
	Token     string `json:"token,omitempty"`     // of the token endpoint, refresh included
	Revoke    string `json:"revoke,omitempty"`    // of the revocation endpoint; unused where the connector has none
	API       string `json:"api,omitempty"`       // base address of the API: Endpoints["api"]
}

// WithEndpoints returns the Description with those addresses replaced. The
// receiver and what it points to stay as they are. A connector with Endpoints
// in its Config calls it at the end of Describe.
func (d Description) WithEndpoints(e Endpoints) Description {
	if e.API != "" {
		d.Endpoints = maps.Clone(d.Endpoints)
		if d.Endpoints == nil {
			d.Endpoints = make(map[string]Template, 1)
		}
		d.Endpoints["api"] = Template(e.API)
	}
	if d.OAuth == nil {
		return d
	}
	o := *d.OAuth
	if e.Authorize != "" {
		o.Authorize = Template(e.Authorize)
	}
	if e.Token != "" {
		o.Token.URL = Template(e.Token)
		o.Refresh = withURL(o.Refresh, e.Token)
	}
	if e.Revoke != "" {
		o.Revoke = withURL(o.Revoke, e.Revoke)
	}
	d.OAuth = &o
	return d
}

func withURL(r *Request, url string) *Request {
	if r == nil {
		return nil
	}
	with := *r
	with.URL = Template(url)
	return &with
}
