/** An image's name with the digest that a registry tells, as the docker CLI writes it into a service. */

/** What `GET /distribution/NAME/json` answers, of it what is needed here. */
export interface Distribution {
  readonly Descriptor: { readonly digest: string }
  readonly Platforms?: ReadonlyArray<{ readonly architecture?: string; readonly os?: string }>
}

export interface Pinned {
  readonly image: string
  readonly platforms: ReadonlyArray<{ readonly Architecture: string; readonly OS: string }>
}

/** `nginx` is `nginx:latest`; a name with a tag or a digest stays. */
export const tagged = (image: string): string => (/[@:][^/]+$/.test(image) ? image : `${image}:latest`)

export const pinned = (image: string, { Descriptor, Platforms }: Distribution): Pinned => ({
  image: image.includes("@") ? image : `${tagged(image)}@${Descriptor.digest}`,
  platforms: (Platforms ?? []).map(({ architecture = "", os = "" }) => ({
    Architecture: architecture,
    OS: os
  }))
})
