package jiratest

import (
	"net/http"
	"slices"
	"strings"
)

// resources is GET /oauth/token/accessible-resources: every site of the grant.
func (s *Server) resources(c call) {
	type resource struct {
		ID        string   `json:"id"`
		Name      string   `json:"name"`
		URL       string   `json:"url"`
		Scopes    []string `json:"scopes"`
		AvatarURL string   `json:"avatarUrl"`
	}
	all := []resource{}
	for _, site := range s.sites {
		if !c.from.covers(site) {
			continue
		}
		scopes := slices.DeleteFunc(slices.Clone(c.from.scopes), func(scope string) bool {
			about := strings.HasPrefix(scope, "read:me") || scope == "offline_access" || scope == "read:account"
			return about || strings.Contains(scope, "confluence") != site.confluence
		})
		if site.confluence && len(scopes) == 0 {
			scopes = []string{"read:confluence-content.all"}
		}
		all = append(all, resource{site.cloud, site.name, site.URL(), scopes, "https://site-admin-avatar-cdn.prod.public.atl-paas.net/avatars/240/flag.png"})
	}
	writeJSON(c.w, http.StatusOK, all)
}

// me is GET /me: who signed in.
func (s *Server) me(c call) {
	writeJSON(c.w, http.StatusOK, map[string]any{
		"account_type": "atlassian", "account_id": c.who.id, "account_status": "active", "email": c.who.email, "email_verified": true,
		"name": c.who.name, "nickname": c.who.name, "picture": "https://avatar-management.example.com/" + c.who.id, "zoneinfo": c.who.zone.String(), "locale": "en-US",
	})
}

// myself is who signed in, as Jira knows them.
func (s *Server) myself(c call) {
	shown := c.who.user(c.view.base)
	shown["emailAddress"], shown["locale"] = c.who.email, "en_US"
	shown["groups"] = map[string]any{"size": 1, "items": []any{}}
	shown["applicationRoles"] = map[string]any{"size": 1, "items": []any{}}
	shown["expand"] = "groups,applicationRoles"
	writeJSON(c.w, http.StatusOK, shown)
}

func (s *Server) serverInfo(c call) {
	writeJSON(c.w, http.StatusOK, map[string]any{
		"baseUrl": c.site.URL(), "version": "1001.0.0-SNAPSHOT", "versionNumbers": []int{1001, 0, 0}, "deploymentType": "Cloud",
		"buildNumber": 100293, "buildDate": "2026-11-20T08:00:00.000+0000", "serverTime": c.view.stamp(s.now()),
		"scmInfo": "0000000000000000000000000000000000000000", "serverTitle": "Jira",
	})
}
