//go:build clients

package clients

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"
)

// answers are what the official SDKs accept, by the path behind /v1: a document
// and, for those that stream, the server-sent events instead.
var answers = map[string]struct {
	document string
	events   []string
}{
	// Both providers' at once: each SDK reads its own keys.
	"/models": {document: `{"object":"list","has_more":false,"first_id":"test","last_id":"test",
		"data":[{"id":"test","object":"model","type":"model","display_name":"Test","created":1,"created_at":"2025-01-01T00:00:00Z","owned_by":"test"}]}`},

	"/chat/completions": {
		document: `{"id":"c1","object":"chat.completion","created":1,"model":"test",
			"choices":[{"index":0,"finish_reason":"stop","message":{"role":"assistant","content":"hello"}}],
			"usage":{"prompt_tokens":1,"completion_tokens":1,"total_tokens":2}}`,
		events: []string{
			"data: " + `{"id":"c1","object":"chat.completion.chunk","created":1,"model":"test","choices":[{"index":0,"delta":{"role":"assistant","content":"hel"}}]}` + "\n\n",
			"data: " + `{"id":"c1","object":"chat.completion.chunk","created":1,"model":"test","choices":[{"index":0,"delta":{"content":"lo"},"finish_reason":"stop"}]}` + "\n\n",
			"data: [DONE]\n\n",
		},
	},

	"/responses": {
		document: openaiResponse("completed"),
		events: typed(
			`{"type":"response.created","sequence_number":0,"response":`+openaiResponse("in_progress")+`}`,
			`{"type":"response.output_text.delta","sequence_number":1,"item_id":"m1","output_index":0,"content_index":0,"delta":"hello","logprobs":[]}`,
			`{"type":"response.completed","sequence_number":2,"response":`+openaiResponse("completed")+`}`,
		),
	},

	"/messages": {
		document: anthropicMessage(`[{"type":"text","text":"hello"}]`),
		events: typed(
			`{"type":"message_start","message":`+anthropicMessage(`[]`)+`}`,
			`{"type":"content_block_start","index":0,"content_block":{"type":"text","text":""}}`,
			`{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"hello"}}`,
			`{"type":"content_block_stop","index":0}`,
			`{"type":"message_delta","delta":{"stop_reason":"end_turn","stop_sequence":null},"usage":{"output_tokens":1}}`,
			`{"type":"message_stop"}`,
		),
	},
}

func openaiResponse(status string) string {
	return fmt.Sprintf(`{"id":"r1","object":"response","created_at":1,"model":"test","status":%q,
		"output":[{"type":"message","id":"m1","role":"assistant","status":"completed","content":[{"type":"output_text","text":"hello","annotations":[]}]}]}`, status)
}

func anthropicMessage(content string) string {
	return fmt.Sprintf(`{"id":"m1","type":"message","role":"assistant","model":"test","content":%s,
		"stop_reason":"end_turn","stop_sequence":null,"usage":{"input_tokens":1,"output_tokens":1}}`, content)
}

// typed makes events of documents, each on one line and named by its type.
func typed(documents ...string) []string {
	var events []string
	for _, text := range documents {
		var document map[string]any
		if err := json.Unmarshal([]byte(text), &document); err != nil {
			panic(err)
		}
		line, _ := json.Marshal(document) // it came from JSON
		events = append(events, fmt.Sprintf("event: %s\ndata: %s\n\n", document["type"], line))
	}
	return events
}

// provider serves the AI providers.
func (u *upstream) provider(w http.ResponseWriter, r *http.Request) {
	path := strings.TrimPrefix(r.URL.Path, "/v1")
	var question struct{ Stream bool }
	if r.Method == http.MethodPost {
		if err := json.NewDecoder(r.Body).Decode(&question); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
	}
	switch answer, ok := answers[path]; {
	case !ok:
		http.NotFound(w, r)
	case question.Stream:
		u.streamAnswer(w, r, answer.events)
	default:
		if path == "/models" {
			select {
			case u.asked <- struct{}{}:
			default:
			}
		}
		w.Header().Set("Content-Type", "application/json")
		io.WriteString(w, answer.document)
	}
}

// streamAnswer sends the first event and the others once it is asked for /models,
// which the client does when it has the first.
func (u *upstream) streamAnswer(w http.ResponseWriter, r *http.Request, events []string) {
	select {
	case <-u.asked: // of before
	default:
	}
	w.Header().Set("Content-Type", "text/event-stream")
	io.WriteString(w, events[0])
	http.NewResponseController(w).Flush()
	select {
	case <-u.asked:
	case <-r.Context().Done():
		return
	case <-time.After(patience):
		panic(http.ErrAbortHandler) // the client has not seen the event: nor shall it see the end
	}
	for _, event := range events[1:] {
		io.WriteString(w, event)
	}
}
