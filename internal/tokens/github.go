package tokens

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"keybearer/secrets"
)

// GitHubApp fetches an installation token of a GitHub App.
type GitHubApp struct {
	AppID          int64
	InstallationID int64
	PrivateKey     secrets.Text      // in PEM form
	Repositories   []string          // by name, without their owner; none: all that the app may use
	Permissions    map[string]string // such as contents: read; none: all that the app has
	APIURL         string            // https://api.github.com, or HOST/api/v3 of a server of one's own
}

// Fetch implements [secrets.Fetcher].
func (g GitHubApp) Fetch(ctx context.Context, a secrets.Access) (secrets.Fetched, error) {
	r, err := g.request(ctx, a)
	if err != nil {
		return secrets.Fetched{}, err
	}
	body, header, err := secrets.Answer(a.Client, r)
	if err != nil {
		return secrets.Fetched{}, err
	}
	var token struct {
		Token   string    `json:"token"`
		Expires time.Time `json:"expires_at"`
	}
	if json.Unmarshal(body, &token) != nil || token.Token == "" || token.Expires.IsZero() {
		return secrets.Fetched{}, secrets.Problem("the server answered without an installation token; check api_url")
	}
	// The end is told by the server's clock, which may not be ours.
	now, err := http.ParseTime(header.Get("Date"))
	if err != nil {
		now = time.Now()
	}
	return secrets.Fetched{Text: token.Token, Lifetime: lifetime(int64(token.Expires.Sub(now) / time.Second))}, nil
}

func (g GitHubApp) request(ctx context.Context, a secrets.Access) (*http.Request, error) {
	pem, err := expand(g.PrivateKey, a)
	if err != nil {
		return nil, err
	}
	key, err := parseKey(pem)
	if err != nil {
		return nil, err
	}
	const past, valid = time.Minute, 9 * time.Minute // GitHub allows ten, and advises to begin in the past
	now := time.Now()
	assertion, err := sign(key, "", jwt.MapClaims{
		"iss": strconv.FormatInt(g.AppID, 10), "iat": now.Add(-past).Unix(), "exp": now.Add(valid).Unix(),
	})
	if err != nil {
		return nil, err
	}
	wanted, err := json.Marshal(struct {
		Repositories []string          `json:"repositories,omitempty"`
		Permissions  map[string]string `json:"permissions,omitempty"`
	}{g.Repositories, g.Permissions})
	if err != nil {
		return nil, err
	}
	to := fmt.Sprintf("%s/app/installations/%d/access_tokens", strings.TrimSuffix(g.APIURL, "/"), g.InstallationID)
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, to, bytes.NewReader(wanted))
	if err != nil {
		return nil, secrets.Problem("the api_url is not one; correct it")
	}
	r.Header.Set("Authorization", "Bearer "+assertion)
	r.Header.Set("Accept", "application/vnd.github+json")
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("User-Agent", "keybearer")
	r.Header.Set("X-GitHub-Api-Version", "2022-11-28")
	return r, nil
}

// References implements [secrets.Fetcher].
func (g GitHubApp) References() []string { return references(g.PrivateKey) }

// Server is the URL below which is asked.
func (g GitHubApp) Server() string { return g.APIURL }

// String names the app, the installation and the server.
func (g GitHubApp) String() string {
	return fmt.Sprintf("GitHub App %d, installation %d, at %s", g.AppID, g.InstallationID, g.APIURL)
}
