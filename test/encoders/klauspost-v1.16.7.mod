module encoders

go 1.22

require github.com/klauspost/pgzip v1.2.6

require github.com/klauspost/compress v1.16.7
