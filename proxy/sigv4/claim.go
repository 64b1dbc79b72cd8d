package sigv4

import (
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"
)

// Claim is what a request says of its signature.
type Claim struct {
	AccessKeyID     string
	Region, Service string
	Signed          []string // names of the fields that are signed, in lower case

	// Payload is the hash of the body, or the word that stands in its place; "" if
	// only the body can tell.
	Payload string
	// Query reports whether the signature is in the query: the URL is presigned, from
	// Date on.
	Query bool
	Date  time.Time
}

// Read reads the signature of a request. If it has none, or one that is not of this
// kind, the claim is nil: see [Unsigned]. One that is not well-formed, or cannot be
// made anew, is an [Error].
func Read(r Request) (*Claim, error) {
	query, err := r.query()
	if err != nil {
		return nil, err
	}
	authorization := r.values("Authorization")
	presigned := query.Has("X-Amz-Signature") || query.Has("X-Amz-Credential")
	switch {
	case len(authorization) > 1 || len(authorization) == 1 && presigned:
		return nil, Error("it has several signatures")
	case presigned:
		return readQuery(query)
	case len(authorization) == 0:
		return nil, nil
	}
	kind, rest, _ := strings.Cut(authorization[0], " ")
	switch {
	case strings.HasPrefix(kind, "AWS4-ECDSA"):
		return nil, Error("it has a signature for several regions (Signature Version 4A)")
	case kind != algorithm:
		return nil, nil
	}
	c, err := readAuthorization(rest)
	if err == nil {
		err = c.readPayload(r)
	}
	if err != nil {
		return nil, err
	}
	return c, nil
}

// Unsigned is the claim for a request that has no signature, if the region and the
// service are known otherwise.
func Unsigned(r Request, region, service string) (*Claim, error) {
	c := &Claim{Region: region, Service: service, Signed: []string{"host"}}
	err := c.readPayload(r)
	return c, err
}

// For has the signature be for another region and service than the client's; "" stands
// for the client's.
func (c *Claim) For(region, service string) {
	if region != "" {
		c.Region = region
	}
	if service != "" {
		c.Service = service
	}
}

// isS3 reports whether the service signs paths as they are, and takes requests whose
// body is not signed.
func (c *Claim) isS3() bool {
	return slices.Contains([]string{"s3", "s3express", "s3-object-lambda", "s3-outposts"}, c.Service)
}

// Chunked reports whether the body has signatures too, which follow from the one of the
// request.
func (c *Claim) Chunked() bool { return strings.HasPrefix(c.Payload, chunkedPayload) }

const (
	unsignedPayload = "UNSIGNED-PAYLOAD"
	unsignedChunks  = "STREAMING-UNSIGNED-PAYLOAD-TRAILER"
	chunkedPayload  = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD"
	trailerPayload  = chunkedPayload + "-TRAILER"
)

var (
	isHash      = regexp.MustCompile(`^[0-9a-f]{64}$`)
	isScopeName = regexp.MustCompile(`^[a-z0-9-]{1,64}$`)
	isFieldName = regexp.MustCompile(`^[a-z0-9!#$%&'*+.^_|~-]+$`)
)

// readPayload reads the field X-Amz-Content-Sha256, which Amazon S3 insists on and most
// other services do without.
func (c *Claim) readPayload(r Request) error {
	switch said := r.values("X-Amz-Content-Sha256"); {
	case len(said) == 0 && c.isS3():
		c.Payload = unsignedPayload
	case len(said) == 0:
	case len(said) > 1:
		return Error("it has several fields X-Amz-Content-Sha256")
	case isHash.MatchString(said[0]), said[0] == unsignedPayload, said[0] == unsignedChunks,
		said[0] == chunkedPayload, said[0] == trailerPayload:
		c.Payload = said[0]
	default:
		return Error("its X-Amz-Content-Sha256 is neither a hash nor one of the words that keybearer knows")
	}
	return nil
}

const notWellFormed = Error("its signature is not well-formed")

// readAuthorization reads what follows the algorithm.
func readAuthorization(text string) (*Claim, error) {
	parts := make(map[string]string)
	for part := range strings.SplitSeq(text, ",") {
		name, value, ok := strings.Cut(strings.Trim(part, " "), "=")
		if _, again := parts[name]; !ok || again {
			return nil, notWellFormed
		}
		parts[name] = value
	}
	if len(parts) != 3 || !isHash.MatchString(parts["Signature"]) {
		return nil, notWellFormed
	}
	c := new(Claim)
	return c, c.read(parts["Credential"], parts["SignedHeaders"])
}

// readQuery reads a presigned URL.
func readQuery(query url.Values) (*Claim, error) {
	for name, values := range query {
		if strings.HasPrefix(strings.ToLower(name), "x-amz-") && len(values) > 1 {
			return nil, notWellFormed
		}
	}
	if kind := query.Get("X-Amz-Algorithm"); strings.HasPrefix(kind, "AWS4-ECDSA") {
		return nil, Error("it has a signature for several regions (Signature Version 4A)")
	} else if kind != algorithm || !isHash.MatchString(query.Get("X-Amz-Signature")) {
		return nil, notWellFormed
	}
	date, err := time.Parse(timeFormat, query.Get("X-Amz-Date"))
	if err != nil {
		return nil, notWellFormed
	}
	c := &Claim{Query: true, Date: date, Payload: unsignedPayload}
	if err := c.read(query.Get("X-Amz-Credential"), query.Get("X-Amz-SignedHeaders")); err != nil {
		return nil, err
	}
	if !c.isS3() {
		c.Payload = "" // which other services want to be the body's
	}
	if said := query.Get("X-Amz-Content-Sha256"); isHash.MatchString(said) || said == unsignedPayload {
		c.Payload = said
	}
	return c, nil
}

// read reads the two parts that both places have.
func (c *Claim) read(credential, signed string) error {
	words := strings.Split(credential, "/")
	n := len(words) - 4 // an access key ID may have slashes
	if n < 1 || words[n+3] != "aws4_request" || !isScopeName.MatchString(words[n+1]) || !isScopeName.MatchString(words[n+2]) {
		return notWellFormed
	}
	c.AccessKeyID = strings.Join(words[:n], "/")
	c.Region, c.Service = words[n+1], words[n+2]
	c.Signed = strings.Split(signed, ";")
	for _, name := range c.Signed {
		if !isFieldName.MatchString(name) {
			return notWellFormed
		}
	}
	return nil
}

// query is the query as a server would read it, if every server reads it the same.
func (r Request) query() (url.Values, error) {
	_, text, _ := strings.Cut(r.Target, "?")
	query, err := url.ParseQuery(text)
	if err != nil {
		return nil, Error("its query can be read in two ways")
	}
	return query, nil
}
