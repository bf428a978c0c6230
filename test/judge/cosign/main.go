// cosign's formats by the library that cosign signs and verifies with.
//
//	cosign-judge sign DIR DIGEST          makes a key pair; writes cosign.pub, payload, signature, envelope
//	cosign-judge verify PUB PAYLOAD SIG   verifies a payload's signature (DER); prints the digest that it names
//	cosign-judge envelope PUB FILE        verifies a DSSE envelope; prints its payload
package main

import (
	"bytes"
	"crypto"
	"encoding/json"
	"fmt"
	"log"
	"os"
	"path/filepath"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/sigstore/sigstore/pkg/cryptoutils"
	"github.com/sigstore/sigstore/pkg/signature"
	"github.com/sigstore/sigstore/pkg/signature/dsse"
	"github.com/sigstore/sigstore/pkg/signature/payload"
)

const (
	inToto    = "application/vnd.in-toto+json"
	statement = `{"_type":"https://in-toto.io/Statement/v1","subject":[{"digest":{"sha256":%q}}],` +
		`"predicateType":"https://sigstore.dev/cosign/sign/v1","predicate":{}}`
)

func main() {
	log.SetFlags(0)
	switch args := os.Args[1:]; {
	case len(args) == 3 && args[0] == "sign":
		sign(args[1], args[2])
	case len(args) == 4 && args[0] == "verify":
		signed := read(args[2])
		must(verifier(args[1]).VerifySignature(bytes.NewReader(read(args[3])), bytes.NewReader(signed)))
		var found payload.Cosign
		must(json.Unmarshal(signed, &found))
		fmt.Println(found.Image.DigestStr())
	case len(args) == 3 && args[0] == "envelope":
		envelope := read(args[2])
		must(dsse.WrapVerifier(verifier(args[1])).VerifySignature(bytes.NewReader(envelope), nil))
		var found struct{ Payload []byte }
		must(json.Unmarshal(envelope, &found))
		os.Stdout.Write(found.Payload)
	default:
		log.Fatal("usage: cosign-judge sign DIR DIGEST | verify PUB PAYLOAD SIG | envelope PUB FILE")
	}
}

func sign(directory, digest string) {
	signer, key, err := signature.NewDefaultECDSASignerVerifier()
	must(err)
	public, err := cryptoutils.MarshalPublicKeyToPEM(key.Public())
	must(err)
	image, err := name.NewDigest("registry.example/team/app@" + digest)
	must(err)
	signed, sig, err := signPayload(signer, image)
	must(err)
	subject := fmt.Sprintf(statement, digest[len("sha256:"):])
	envelope, err := dsse.WrapSigner(signer, inToto).SignMessage(bytes.NewReader([]byte(subject)))
	must(err)
	for file, content := range map[string][]byte{
		"cosign.pub": public, "payload": signed, "signature": sig, "envelope": envelope,
	} {
		must(os.WriteFile(filepath.Join(directory, file), content, 0o600))
	}
}

func signPayload(signer signature.Signer, image name.Digest) ([]byte, []byte, error) {
	signed, err := json.Marshal(payload.Cosign{Image: image})
	if err != nil {
		return nil, nil, err
	}
	sig, err := signer.SignMessage(bytes.NewReader(signed))
	return signed, sig, err
}

func verifier(path string) signature.Verifier {
	key, err := cryptoutils.UnmarshalPEMToPublicKey(read(path))
	must(err)
	verifier, err := signature.LoadVerifier(key, crypto.SHA256)
	must(err)
	return verifier
}

func read(path string) []byte {
	content, err := os.ReadFile(path)
	must(err)
	return content
}

func must(err error) {
	if err != nil {
		log.Fatal(err)
	}
}
