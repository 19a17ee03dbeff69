/** Where the node answers questions for names, over UDP and TCP; port 53 of its address on each overlay leads there. */
export const namesPort = 4553
