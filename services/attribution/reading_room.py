"""LibraryService: decode, call, encode."""

from typing import Any

from services.attribution.catalogues import Catalogues
from services.attribution.comparing import Comparisons
from services.attribution.desk import page
from services.attribution.door import Aside
from services.attribution.library import Library
from services.attribution.remarks import Remarks
from steerboard.api import convert_catalogue as messages
from steerboard.api.convert_comparison import comparison_to_message, side_from_message
from steerboard.api.convert_library import (
    feature_card_to_message,
    image_card_to_message,
    image_set_to_message,
)
from steerboard.api.interceptor import caller
from steerboard.api.status import error_to_status
from steerboard.api.tokens import Identity
from steerboard.catalogue.find import Clues
from steerboard.spec.catalogue import (
    MAX_ROWS,
    MAX_SCANNED,
    ComparedFeatures,
    FeatureQuery,
    FeatureRow,
    Firing,
    Labels,
    Said,
)
from steerboard.spec.errors import (
    DeadlineExceeded,
    InvalidRequest,
    Overloaded,
    SteerboardError,
    Unavailable,
)
from steerboard.v1 import library_pb2 as pb
from steerboard.v1.library_pb2_grpc import LibraryServiceServicer

AWAY = (Unavailable, DeadlineExceeded, Overloaded)
SCANNED = 32  # pictures under a feature at a time, unless asked


class ReadingRoom(LibraryServiceServicer):
    """Image sets, pictures, catalogues, and what people say."""

    def __init__(
        self, library: Library, catalogues: Catalogues, remarks: Remarks, aside: Aside
    ) -> None:
        self._library, self._catalogues = library, catalogues
        self._remarks, self._aside = remarks, aside
        self._comparisons = Comparisons(catalogues)

    async def ListImageSets(
        self, request: pb.ListImageSetsRequest, context: Any
    ) -> pb.ListImageSetsResponse:
        """All image sets."""
        sets = await self._aside(self._library.image_sets)
        return pb.ListImageSetsResponse(image_sets=map(image_set_to_message, sets))

    async def ListImages(
        self, request: pb.ListImagesRequest, context: Any
    ) -> pb.ListImagesResponse:
        """A page of pictures."""
        cards = await self._aside(
            self._library.images, request.image_set, request.split, request.group
        )
        start, stop = page(request.page_token, request.page_size)
        return pb.ListImagesResponse(
            images=[image_card_to_message(c) for c in cards[start:stop]],
            next_page_token=str(stop) if stop < len(cards) else "",
            total=len(cards),
        )

    async def GetImages(self, request: pb.GetImagesRequest, context: Any) -> pb.GetImagesResponse:
        """Bytes of pictures."""
        found = await self._aside(self._library.read_all, request.digests, caller().tenant)
        images = [pb.ImageBytes(sha256=d, data=b) for d, b in found.items()]
        return pb.GetImagesResponse(images=images)

    async def GetFeatures(
        self, request: pb.GetFeaturesRequest, context: Any
    ) -> pb.GetFeaturesResponse:
        """What is known of features."""
        if len(request.indices) > MAX_ROWS * 5:
            raise InvalidRequest("ask for at most 1000 features at a time", field="indices")
        cards = await self._aside(
            self._catalogues.features, request.dictionary, list(request.indices)
        )
        return pb.GetFeaturesResponse(features=[feature_card_to_message(c) for c in cards])

    async def ListCatalogues(
        self, request: pb.ListCataloguesRequest, context: Any
    ) -> pb.ListCataloguesResponse:
        """All catalogues."""
        found = await self._aside(self._catalogues.infos)
        return pb.ListCataloguesResponse(catalogues=map(messages.info_to_message, found))

    async def SearchFeatures(
        self, request: pb.SearchFeaturesRequest, context: Any
    ) -> pb.SearchFeaturesResponse:
        """A page of features."""
        query, who = messages.query_from_message(request), caller()
        start, stop = bounded(request.page_token, request.page_size, 24, MAX_ROWS)
        rows, total, trouble = await self._aside(
            self._found, query, start, stop, request.pictures, who
        )
        return pb.SearchFeaturesResponse(
            features=[messages.row_to_message(r) for r in rows],
            next_page_token=str(stop) if stop < total else "",
            total=total,
            without_meaning=error_to_status(trouble) if trouble else None,
        )

    async def GetFeatureMap(
        self, request: pb.GetFeatureMapRequest, context: Any
    ) -> pb.GetFeatureMapResponse:
        """All features as points."""
        return messages.map_to_message(await self._aside(self._catalogues.map, request.dictionary))

    async def CompareFeatures(
        self, request: pb.CompareFeaturesRequest, context: Any
    ) -> pb.CompareFeaturesResponse:
        """A page of pairs."""
        return comparison_to_message(await self._aside(self._compared, request, caller()))

    async def GetThumbnails(
        self, request: pb.GetThumbnailsRequest, context: Any
    ) -> pb.GetThumbnailsResponse:
        """Small pictures."""
        found = await self._aside(
            self._catalogues.thumbnails,
            request.dictionary,
            list(request.digests),
            caller().tenant,
        )
        return pb.GetThumbnailsResponse(
            thumbnails=[pb.ImageBytes(sha256=d, data=b) for d, b in found.items()]
        )

    async def ListFiring(
        self, request: pb.ListFiringRequest, context: Any
    ) -> pb.ListFiringResponse:
        """Pictures on which a feature fires."""
        cards = await self._aside(
            self._library.images, request.image_set, request.split, request.group
        )
        start, stop = bounded(request.page_token, request.page_size, SCANNED, MAX_SCANNED)
        digests = [c.sha256 for c in cards[start:stop]]
        found, failed = await self._aside(
            self._catalogues.firing, request.dictionary, request.feature, digests, caller().tenant
        )
        return messages.firing_to_message(
            Firing(
                firing=tuple(found),
                seen=min(stop, len(cards)),
                total=len(cards),
                next=str(stop) if stop < len(cards) else "",
                failed=failed,
            )
        )

    async def GetFeatureLabels(
        self, request: pb.GetFeatureLabelsRequest, context: Any
    ) -> pb.GetFeatureLabelsResponse:
        """What people said."""
        found = await self._aside(self._remarks.of, request.dictionary, request.feature, caller())
        return messages.labels_to_message(*found)

    async def SayOfFeature(
        self, request: pb.SayOfFeatureRequest, context: Any
    ) -> pb.SayOfFeatureResponse:
        """Write something down."""
        said: tuple[Labels, list[Said]] = await self._aside(
            self._remarks.say,
            request.dictionary,
            request.feature,
            request.author,
            request.kind,
            request.text,
            request.value,
            caller(),
        )
        return pb.SayOfFeatureResponse(labels=messages.labels_to_message(*said))

    def _compared(self, request: pb.CompareFeaturesRequest, who: Identity) -> ComparedFeatures:
        """A page of two catalogues side by side."""
        start, stop = bounded(request.page_token, request.page_size, 24, MAX_ROWS)
        first, second = request.dictionary, request.other
        return self._comparisons.page(
            (first, second),
            side_from_message(request),
            request.floor,
            slice(start, stop),
            request.pictures,
            (self._remarks.spoken(first, who), self._remarks.spoken(second, who)),
        )

    def _found(
        self, query: FeatureQuery, start: int, stop: int, pictures: int, who: Identity
    ) -> tuple[list[FeatureRow], int, SteerboardError | None]:
        """A page of features, how many there are, and why meaning was left out."""
        meaning, trouble = None, None
        try:
            meaning = self._catalogues.meaning(query)
        except AWAY as error:
            trouble = error
        clues = Clues(
            meaning,
            self._catalogues.activations(query, who.tenant),
            self._remarks.spoken(query.dictionary, who),
        )
        return *self._catalogues.search(query, clues, start, stop, pictures), trouble


def bounded(token: str, size: int, usual: int, most: int) -> tuple[int, int]:
    """Where a page starts and stops; raises InvalidRequest."""
    if size > most:
        raise InvalidRequest(f"a page has at most {most}, not {size}", field="page_size")
    start, _ = page(token, size)
    return start, start + (size or usual)
