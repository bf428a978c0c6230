// A registry in memory that has the referrers API: go-containerregistry's, whose own commands leave that off.
package main

import (
	"flag"
	"log"
	"net/http"

	"github.com/google/go-containerregistry/pkg/registry"
)

func main() {
	address := flag.String("address", "127.0.0.1:5000", "HOST:PORT to listen on")
	flag.Parse()
	handler := registry.New(registry.WithReferrersSupport(true))
	log.Fatal(http.ListenAndServe(*address, handler))
}
