/** `10.0.1.5` of `10.0.1.5/24`; an address without prefix length is itself. */
export const withoutPrefix = (cidr: string): string => cidr.split("/")[0] ?? ""
