//go:build clients

package clients

import (
	"fmt"
	"testing"
)

// A registry may want a token that another host gives for the password, as Docker Hub
// does. The rule is for that host alone: the client gets a token that is soon worthless,
// never the password, and shows it to the registry itself.
func TestImagesWithTokens(t *testing.T) {
	for _, c := range clients {
		if c.api.host != imagesHost {
			continue
		}
		t.Run(c.name, func(t *testing.T) {
			if reason := installed(c.tool); reason != "" {
				t.Skip(reason)
			}
			scene := <-theScenes
			defer func() { theScenes <- scene }()
			c.api = &tokens
			o := scene.play(t, c, situation{name: "tokens", mode: "large-upload", scheme: "https", host: always(unmatchedHost), environ: clientEnv})
			if err := checkTokens(o); err != nil {
				t.Fatalf("%v\n\n%s", err, o.report())
			}
		})
	}
}

// checkTokens: the password went to where tokens are given, and the large layer to the
// registry for a token.
func checkTokens(o outcome) error {
	asked := false
	for _, r := range o.requests {
		if r.host == tokensHost {
			asked = true
			if err := o.checkCredential(r); err != nil {
				return err
			}
			continue
		}
		if err := checkNoSecret(r); err != nil {
			return err
		}
		// The first one is to find out who gives tokens.
		if got := r.header.Get("Authorization"); got != "" && got != "Bearer "+shortLived {
			return fmt.Errorf("%s: the registry saw Authorization: %q", r, got)
		}
	}
	switch {
	case o.err != nil:
		return fmt.Errorf("the client failed: %w", o.err)
	case !asked:
		return fmt.Errorf("nobody asked %s for a token", tokensHost)
	case o.noted(piece) == 0:
		return fmt.Errorf("no request %s", piece)
	}
	return nil
}
