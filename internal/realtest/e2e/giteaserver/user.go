package giteaserver

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"testing"
)

// User is a person with an account at a [Server]. Its methods do in Gitea, through Gitea's own API
// (https://docs.gitea.com/api/1.26/), what that person would do in the web interface.
// They end the test when Gitea refuses. A repository is named "owner/name".
type User struct {
	Name, Password, Email string
	// Token is an API token with every scope. It does not expire.
	Token string

	server *Server
}

// OAuthApp is an OAuth2 application registered at Gitea.
type OAuthApp struct {
	ID           int64  `json:"id"`
	ClientID     string `json:"client_id"`
	ClientSecret string `json:"client_secret"`
}

// Hook is a webhook as Gitea lists it.
type Hook struct {
	ID     int64    `json:"id"`
	Type   string   `json:"type"`
	Events []string `json:"events"`
	Active bool     `json:"active"`
	Config struct {
		URL         string `json:"url"`
		ContentType string `json:"content_type"`
	} `json:"config"`
}

// CreateUser makes another user without any rights beyond his own.
func (s *Server) CreateUser(t testing.TB, name string) *User {
	t.Helper()
	created := &User{Name: name, Password: password, Email: name + "@example.com", server: s}
	s.Alice.Call(t, http.MethodPost, "/admin/users", map[string]any{
		"username": name, "email": created.Email, "password": password, "must_change_password": false,
	}, nil)
	var token struct {
		SHA1 string `json:"sha1"`
	}
	created.Call(t, http.MethodPost, "/users/"+name+"/tokens", map[string]any{"name": "tests", "scopes": []string{"all"}}, &token)
	created.Token = token.SHA1
	return created
}

// CreateOAuthApp registers a confidential OAuth2 application with these redirect addresses.
func (u *User) CreateOAuthApp(t testing.TB, redirectURIs ...string) OAuthApp {
	t.Helper()
	var app OAuthApp
	u.Call(t, http.MethodPost, "/user/applications/oauth2", map[string]any{
		"name": "interactor", "confidential_client": true, "redirect_uris": redirectURIs,
	}, &app)
	return app
}

// DeleteOAuthApp removes an application, and with it every grant and token that it was given.
func (u *User) DeleteOAuthApp(t testing.TB, app OAuthApp) {
	t.Helper()
	u.Call(t, http.MethodDelete, fmt.Sprintf("/user/applications/oauth2/%d", app.ID), nil, nil)
}

// CreateRepo makes a public repository with a first commit on main and returns "owner/name".
func (u *User) CreateRepo(t testing.TB, name string) string {
	t.Helper()
	var repo repository
	u.Call(t, http.MethodPost, "/user/repos", map[string]any{"name": name, "auto_init": true, "default_branch": "main"}, &repo)
	return repo.FullName
}

// Fork copies a repository to this user's account and returns the copy's "owner/name".
func (u *User) Fork(t testing.TB, repo string) string {
	t.Helper()
	var fork repository
	u.Call(t, http.MethodPost, "/repos/"+repo+"/forks", map[string]any{}, &fork)
	return fork.FullName
}

// Star marks a repository as a favourite. Gitea 1.26 has no webhook for it.
func (u *User) Star(t testing.TB, repo string) {
	t.Helper()
	u.Call(t, http.MethodPut, "/user/starred/"+repo, nil, nil)
}

// AddCollaborator lets another user write to the repository.
func (u *User) AddCollaborator(t testing.TB, repo string, other *User) {
	t.Helper()
	u.Call(t, http.MethodPut, "/repos/"+repo+"/collaborators/"+other.Name, map[string]any{"permission": "write"}, nil)
}

// CreateIssue opens an issue and returns its number.
func (u *User) CreateIssue(t testing.TB, repo, title, body string) int64 {
	t.Helper()
	return u.numbered(t, "/repos/"+repo+"/issues", map[string]any{"title": title, "body": body})
}

// CloseIssue closes an issue (or a pull request) without merging anything.
func (u *User) CloseIssue(t testing.TB, repo string, number int64) {
	t.Helper()
	u.Call(t, http.MethodPatch, fmt.Sprintf("/repos/%s/issues/%d", repo, number), map[string]any{"state": "closed"}, nil)
}

// Comment writes a comment under an issue or a pull request and returns the comment's id.
func (u *User) Comment(t testing.TB, repo string, number int64, body string) int64 {
	t.Helper()
	var comment struct {
		ID int64 `json:"id"`
	}
	u.Call(t, http.MethodPost, fmt.Sprintf("/repos/%s/issues/%d/comments", repo, number), map[string]any{"body": body}, &comment)
	return comment.ID
}

// Push commits a new file to branch, which is made from main when it does not exist, and returns
// the commit's hash.
func (u *User) Push(t testing.TB, repo, branch, path, content, message string) string {
	t.Helper()
	in := map[string]any{"content": base64.StdEncoding.EncodeToString([]byte(content)), "message": message, "branch": branch}
	if branch != "main" && !u.exists(t, "/repos/"+repo+"/branches/"+branch) {
		in["branch"], in["new_branch"] = "main", branch
	}
	var out struct {
		Commit struct {
			SHA string `json:"sha"`
		} `json:"commit"`
	}
	u.Call(t, http.MethodPost, "/repos/"+repo+"/contents/"+path, in, &out)
	return out.Commit.SHA
}

// OpenPull opens a pull request from the branch head ("branch", or "owner:branch" of a fork) to main
// and returns its number.
func (u *User) OpenPull(t testing.TB, repo, head, title string) int64 {
	t.Helper()
	return u.numbered(t, "/repos/"+repo+"/pulls", map[string]any{"head": head, "base": "main", "title": title})
}

// CreateRelease publishes a release with a new tag on main and returns its id.
func (u *User) CreateRelease(t testing.TB, repo, tag, title string) int64 {
	t.Helper()
	var release struct {
		ID int64 `json:"id"`
	}
	u.Call(t, http.MethodPost, "/repos/"+repo+"/releases", map[string]any{"tag_name": tag, "name": title, "target_commitish": "main"}, &release)
	return release.ID
}

// ListHooks returns the repository's webhooks as Gitea holds them: the oracle for what was subscribed.
func (u *User) ListHooks(t testing.TB, repo string) []Hook {
	t.Helper()
	var hooks []Hook
	u.Call(t, http.MethodGet, "/repos/"+repo+"/hooks", nil, &hooks)
	return hooks
}

// ListOwnHooks returns the webhooks of the user, which report of all repositories that the user owns.
func (u *User) ListOwnHooks(t testing.TB) []Hook {
	t.Helper()
	var hooks []Hook
	u.Call(t, http.MethodGet, "/user/hooks", nil, &hooks)
	return hooks
}

// CreateHook makes a webhook that sends JSON for these events, signed with secret, and returns its id.
func (u *User) CreateHook(t testing.TB, repo, url, secret string, events ...string) int64 {
	t.Helper()
	var hook Hook
	u.Call(t, http.MethodPost, "/repos/"+repo+"/hooks", map[string]any{
		"type": "gitea", "active": true, "events": events,
		"config": map[string]string{"url": url, "content_type": "json", "secret": secret},
	}, &hook)
	return hook.ID
}

// DeleteHook removes a webhook, as a person does who tidies up behind our back.
func (u *User) DeleteHook(t testing.TB, repo string, id int64) {
	t.Helper()
	u.Call(t, http.MethodDelete, fmt.Sprintf("/repos/%s/hooks/%d", repo, id), nil, nil)
}

type repository struct {
	FullName string `json:"full_name"`
}

// numbered creates an issue or a pull request and returns its number.
func (u *User) numbered(t testing.TB, path string, in any) int64 {
	t.Helper()
	var out struct {
		Number int64 `json:"number"`
	}
	u.Call(t, http.MethodPost, path, in, &out)
	return out.Number
}

// Call does any request to Gitea's API as this user: path is what follows /api/v1, in is sent as
// JSON unless it is nil, the answer is decoded into out unless that is nil. Anything but a 2xx ends
// the test.
func (u *User) Call(t testing.TB, method, path string, in, out any) {
	t.Helper()
	status, body := u.request(t, method, path, in)
	if status < 200 || status > 299 {
		t.Fatalf("gitea: %s %s as %s answered %d: %s", method, path, u.Name, status, tail(string(body), 1000))
	}
	if out == nil {
		return
	}
	if err := json.Unmarshal(body, out); err != nil {
		t.Fatalf("gitea: %s %s: %v in %s", method, path, err, tail(string(body), 1000))
	}
}

func (u *User) exists(t testing.TB, path string) bool {
	t.Helper()
	status, body := u.request(t, http.MethodGet, path, nil)
	if status != http.StatusOK && status != http.StatusNotFound {
		t.Fatalf("gitea: GET %s as %s answered %d: %s", path, u.Name, status, tail(string(body), 1000))
	}
	return status == http.StatusOK
}

func (u *User) request(t testing.TB, method, path string, in any) (int, []byte) {
	t.Helper()
	var body io.Reader
	if in != nil {
		encoded, err := json.Marshal(in)
		if err != nil {
			t.Fatalf("gitea: %s %s: %v", method, path, err)
		}
		body = bytes.NewReader(encoded)
	}
	req, err := http.NewRequestWithContext(t.Context(), method, u.server.URL+"/api/v1"+path, body)
	if err != nil {
		t.Fatalf("gitea: %v", err)
	}
	req.Header.Set("Content-Type", "application/json")
	if u.Token != "" {
		req.Header.Set("Authorization", "token "+u.Token)
	} else {
		req.SetBasicAuth(u.Name, u.Password)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatalf("gitea: %v", err)
	}
	defer func() { _ = resp.Body.Close() }()
	answer, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatalf("gitea: %s %s: %v", method, path, err)
	}
	return resp.StatusCode, answer
}
