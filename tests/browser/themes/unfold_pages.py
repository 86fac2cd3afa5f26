from unfold.admin import ModelAdmin, TabularInline
from unfold.sites import UnfoldAdminSite

from tests.browser.themes.admins import patterns

site = UnfoldAdminSite()
urlpatterns = patterns(site, ModelAdmin, TabularInline)
