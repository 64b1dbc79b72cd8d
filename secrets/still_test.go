package secrets

import (
	"strings"
	"testing"
)

// A still store has all that the other one has, and fetches nothing: in the place of what
// is fetched stands another text, or the reason why it cannot be fetched.
//
// seen red: Still without unfetched; read without Check; String with the name.
func TestStill(t *testing.T) {
	s := &script{answer: numbered(0)}
	st := open(t, Sources{Environ: []string{"PLAIN=text"}, Named: map[string]Source{
		"TOKEN": {Fetch: teller{id: "a", script: s}}, "LACKS": {Fetch: teller{needs: "GONE", script: s}},
		"ANSWER": {Fetch: Callback{URL: "http://127.0.0.1:1/"}}, "SHOWN": {Fetch: RequestCallback{URL: "http://127.0.0.1:1/"}},
	}})
	still := st.Still()
	for name, want := range map[string]string{"PLAIN": "text", "TOKEN": dummy, "ANSWER": dummyAnswer, "SHOWN": dummyAnswer} {
		got, err := still.Lookup(name)
		if err != nil || got.Reveal() != want {
			t.Errorf("%s: %q, %v", name, got.Reveal(), err)
		}
	}
	if _, err := still.Lookup("LACKS"); err == nil || !strings.Contains(err.Error(), "GONE") {
		t.Errorf("of a secret that cannot be fetched: %v", err)
	}
	if still.Fetches("TOKEN") || still.PerTarget("ANSWER") || still.PerRequest("SHOWN") || still.Describe("TOKEN") != "teller a" {
		t.Errorf("TOKEN is fetched, or ANSWER, or TOKEN is %s", still.Describe("TOKEN"))
	}
	s.want(t, 0)
	if got, err := st.Lookup("TOKEN"); err != nil || got.Reveal() != "token-1" {
		t.Errorf("the store itself: %q, %v", got.Reveal(), err)
	}
}
